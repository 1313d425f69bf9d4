-- Money that moved in wallets. No ON CONFLICT: an order that is paid or refunded twice is an alarm.
INSERT INTO wallet_entry (customer_id, currency, amount, reason, order_id, at)
SELECT *, $6::timestamptz FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::uuid[])
