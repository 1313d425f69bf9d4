-- Returns the events of one order of one customer, oldest first. Another customer's order is not found. A settled
-- order has at least one event: they are written in one transaction.
-- @returns many
-- @nullable cancel_reason
-- @type status = contract::lifecycle::OrderStatus
SELECT e.partition, e.seq, e.status, e.at, o.cancel_reason
  FROM customer_order o
  JOIN order_event e ON e.order_id = o.order_id
 WHERE o.order_id = :order_id AND o.sale_id = :sale_id AND o.customer_id = :customer_id
 ORDER BY e.seq;
