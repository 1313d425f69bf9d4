-- All orders of the sale, cancelled ones too: their keys are still replayed. In the order in which they
-- were accepted, which is the order in which Redis remembers them.
SELECT order_id, customer_id, request_digest, sequence, accepted_at, hold_seconds,
       subtotal, discount, delivery_fee, status <> 'cancelled' AS live
  FROM customer_order
 WHERE sale_id = $1
 ORDER BY sequence
