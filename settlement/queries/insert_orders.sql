-- New orders. No ON CONFLICT: what was settled before has been taken out; a conflict that remains
-- (an id, a sequence or a request that stands already) is a guard trip.
INSERT INTO customer_order (
    order_id, sale_id, customer_id, customer_email, status, sequence, epoch,
    subtotal, discount_policy_id, discount, delivery_fee, total, currency,
    idempotency_key, request_digest, hold_seconds, hold_expires_at,
    fulfilment, shipping_address, payment_request, accepted_at, updated_at)
SELECT order_id, sale_id, customer_id, customer_email, 'created', sequence, epoch,
       subtotal, discount_policy_id, discount, delivery_fee, subtotal - discount + delivery_fee, currency,
       idempotency_key, request_digest, hold_seconds, accepted_at + hold_seconds * interval '1 second',
       fulfilment, shipping_address, payment_request, accepted_at, now()
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
              $7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::text[],
              $12::text[], $13::bytea[], $14::integer[],
              $15::text[], $16::jsonb[], $17::jsonb[], $18::timestamptz[])
    AS new (order_id, sale_id, customer_id, customer_email, sequence, epoch,
            subtotal, discount_policy_id, discount, delivery_fee, currency,
            idempotency_key, request_digest, hold_seconds,
            fulfilment, shipping_address, payment_request, accepted_at)
