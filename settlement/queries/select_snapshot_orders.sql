-- Returns all orders of the sale, including cancelled ones, whose keys are still replayed. They are in the order in
-- which they were accepted, which is the order in which Redis stores them.
-- @returns stream
SELECT order_id, customer_id, request_digest, sequence, accepted_at, hold_seconds,
       subtotal, discount, delivery_fee, status <> 'cancelled' AS live
  FROM customer_order
 WHERE sale_id = :sale_id
 ORDER BY sequence
