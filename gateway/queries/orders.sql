-- A sale's orders, newest first, from below a sequence on (the page's cursor): a customer's, in a status, or all.
SELECT o.*, NULL::jsonb AS history, NULL::jsonb AS notes
  FROM shown_order o
 WHERE o.sale_id = $1
   AND ($2::text IS NULL OR o.customer_id = $2)
   AND ($3::text IS NULL OR o.status = $3)
   AND o.sequence < $4
 ORDER BY o.sequence DESC
 LIMIT $5;
