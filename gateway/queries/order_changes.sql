-- What happened to one order of one customer, oldest first. Another customer's order is not found. A settled
-- order has at least one event: they are written in one transaction.
SELECT e.partition, e.seq, e.status, e.at, o.cancel_reason
  FROM customer_order o
  JOIN order_event e ON e.order_id = o.order_id
 WHERE o.order_id = $1 AND o.sale_id = $2 AND o.customer_id = $3
 ORDER BY e.seq;
