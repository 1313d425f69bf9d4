-- Returns the states of orders, for commands.
-- @returns many
-- @nullable cancel_reason, method
SELECT o.order_id, o.sale_id, o.customer_id, o.status, o.cancel_reason, p.method
  FROM customer_order o
  LEFT JOIN payment p USING (order_id)
 WHERE o.order_id = ANY (:order_ids)
