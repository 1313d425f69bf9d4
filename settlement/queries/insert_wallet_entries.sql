-- Inserts wallet entries. No ON CONFLICT: an order that is paid or refunded twice must raise an alarm.
-- @columns WalletColumns
INSERT INTO wallet_entry (customer_id, currency, amount, reason, order_id, at)
SELECT *, :at::timestamptz FROM unnest(:customer_id::text[], :currency::text[], :amount::bigint[], :reason::text[], :order_id::uuid[])
