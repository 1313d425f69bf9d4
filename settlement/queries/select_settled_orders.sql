-- Returns those of these orders that are already settled.
-- @returns many
SELECT order_id FROM customer_order WHERE order_id = ANY (:order_ids)
