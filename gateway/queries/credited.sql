-- What a key's credit was, and what the wallet has now.
SELECT e.amount, e.currency, w.balance
  FROM wallet_entry e
  JOIN wallet w USING (customer_id, currency)
 WHERE e.customer_id = $1 AND e.idempotency_key = $2;
