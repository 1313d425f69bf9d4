-- Returns the credit that was booked under a key, and the wallet's present balance.
-- @returns one
SELECT e.amount, e.currency, w.balance
  FROM wallet_entry e
  JOIN wallet w USING (customer_id, currency)
 WHERE e.customer_id = :customer_id AND e.idempotency_key = :idempotency_key;
