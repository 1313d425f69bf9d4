-- Credits a wallet, once per key. No row: the key was used before, and nothing moves.
WITH entry AS (
    INSERT INTO wallet_entry (customer_id, currency, amount, reason, idempotency_key)
    VALUES (:customer_id, :currency, :amount, 'credit', :idempotency_key)
    ON CONFLICT (customer_id, idempotency_key) DO NOTHING
    RETURNING amount
)
INSERT INTO wallet AS w (customer_id, currency, balance)
SELECT :customer_id, :currency, amount FROM entry
ON CONFLICT (customer_id, currency) DO UPDATE
   SET balance = w.balance + excluded.balance, updated_at = now();
