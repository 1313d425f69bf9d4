-- A customer's orders in a sale, newest first, from below a sequence on (the page's cursor).
SELECT o.*, NULL::jsonb AS history, NULL::jsonb AS notes
  FROM shown_order o
 WHERE o.sale_id = $1 AND o.customer_id = $2 AND o.sequence < $3
 ORDER BY o.sequence DESC
 LIMIT $4;
