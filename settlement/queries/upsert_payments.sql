-- Where the money of orders stands now. What was asked for does not change.
INSERT INTO payment AS p (
    payment_id, order_id, sale_id, customer_id, method, token, status, amount, currency, reason,
    requested_at, captured_at, refund_requested_at, refunded_at, updated_at)
SELECT *, $15::timestamptz
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
              $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[],
              $14::timestamptz[])
ON CONFLICT (order_id) DO UPDATE
   SET status = excluded.status, reason = excluded.reason, captured_at = excluded.captured_at,
       refund_requested_at = excluded.refund_requested_at, refunded_at = excluded.refunded_at,
       updated_at = excluded.updated_at
