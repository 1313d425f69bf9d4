-- Inserts new orders. No ON CONFLICT: orders that are already settled have been removed from the batch, so a conflict
-- (an id, a sequence or a request that already exists) is a guard trip.
-- @columns OrderColumns
-- @nullable customer_email[], discount_policy_id[], shipping_address[], payment_request[]
-- @type shipping_address = tokio_postgres::types::Json<&'a contract::order::Address>
-- @type payment_request = tokio_postgres::types::Json<&'a contract::order::PaymentRequest>
INSERT INTO customer_order (
    order_id, sale_id, customer_id, customer_email, status, sequence, epoch,
    subtotal, discount_policy_id, discount, delivery_fee, total, currency,
    idempotency_key, request_digest, hold_seconds, hold_expires_at,
    fulfilment, shipping_address, payment_request, accepted_at, updated_at)
SELECT order_id, sale_id, customer_id, customer_email, 'created', sequence, epoch,
       subtotal, discount_policy_id, discount, delivery_fee, subtotal - discount + delivery_fee, currency,
       idempotency_key, request_digest, hold_seconds, accepted_at + hold_seconds * interval '1 second',
       fulfilment, shipping_address, payment_request, accepted_at, now()
  FROM unnest(:order_id::uuid[], :sale_id::text[], :customer_id::text[], :customer_email::text[], :sequence::bigint[], :epoch::bigint[],
              :subtotal::bigint[], :discount_policy_id::text[], :discount::bigint[], :delivery_fee::bigint[], :currency::text[],
              :idempotency_key::text[], :request_digest::bytea[], :hold_seconds::integer[],
              :fulfilment::text[], :shipping_address::jsonb[], :payment_request::jsonb[], :accepted_at::timestamptz[])
    AS new (order_id, sale_id, customer_id, customer_email, sequence, epoch,
            subtotal, discount_policy_id, discount, delivery_fee, currency,
            idempotency_key, request_digest, hold_seconds,
            fulfilment, shipping_address, payment_request, accepted_at)
