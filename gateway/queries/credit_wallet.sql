-- Money into a wallet, once per key: `new` is false where the key was used before, and then nothing moves.
WITH entry AS (
    INSERT INTO wallet_entry (customer_id, currency, amount, reason, idempotency_key)
    VALUES ($1, $2, $3, 'credit', $4)
    ON CONFLICT (customer_id, idempotency_key) DO NOTHING
    RETURNING amount
)
INSERT INTO wallet AS w (customer_id, currency, balance)
SELECT $1, $2, amount FROM entry
ON CONFLICT (customer_id, currency) DO UPDATE
   SET balance = w.balance + excluded.balance, updated_at = now();
