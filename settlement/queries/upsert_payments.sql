-- Stores the state of orders' payments. The original request does not change.
-- @columns PaymentColumns
-- @nullable token[], reason[], captured_at[], refund_requested_at[], refunded_at[]
-- @type status = contract::payment::PaymentStatus
-- @type method = contract::order::PaymentMethod
INSERT INTO payment AS p (
    payment_id, order_id, sale_id, customer_id, method, token, status, amount, currency, reason,
    requested_at, captured_at, refund_requested_at, refunded_at, updated_at)
SELECT *, :updated_at::timestamptz
  FROM unnest(:payment_id::uuid[], :order_id::uuid[], :sale_id::text[], :customer_id::text[], :method::text[], :token::text[], :status::text[], :amount::bigint[],
              :currency::text[], :reason::text[], :requested_at::timestamptz[], :captured_at::timestamptz[], :refund_requested_at::timestamptz[],
              :refunded_at::timestamptz[])
ON CONFLICT (order_id) DO UPDATE
   SET status = excluded.status, reason = excluded.reason, captured_at = excluded.captured_at,
       refund_requested_at = excluded.refund_requested_at, refunded_at = excluded.refunded_at,
       updated_at = excluded.updated_at
