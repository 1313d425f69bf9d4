-- Where an order stands, for commands. $3: its customer; an operator (null) finds each.
SELECT o.status, o.cancel_reason, p.method
  FROM customer_order o
  LEFT JOIN payment p USING (order_id)
 WHERE o.order_id = $1 AND o.sale_id = $2 AND ($3::text IS NULL OR o.customer_id = $3);
