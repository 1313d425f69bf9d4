-- Returns what conflicts with orders that are judged again: orders under their ids, keys or sequences, and the number
-- of live orders of their customers.
-- @returns many
-- @type idempotency_key = contract::ids::IdempotencyKey
SELECT o.order_id, o.customer_id, o.idempotency_key, o.sequence, o.status <> 'cancelled' AS live
  FROM customer_order o
 WHERE o.sale_id = :sale_id
   AND (o.customer_id = ANY (:customer_ids) OR o.sequence BETWEEN :first_sequence AND :last_sequence)
