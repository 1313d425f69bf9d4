-- Updates wallets, locked in one order so that the owners of two partitions do not deadlock. The constraint
-- wallet_never_below_zero refuses an amount that another partition has already spent.
-- @columns WalletColumns
WITH moved AS (
    SELECT customer_id, currency, sum(amount)::bigint AS amount
      FROM unnest(:customer_id::text[], :currency::text[], :amount::bigint[]) AS entry (customer_id, currency, amount)
     GROUP BY customer_id, currency
), locked AS (
    SELECT w.customer_id, w.currency, moved.amount
      FROM wallet w JOIN moved USING (customer_id, currency)
     ORDER BY w.customer_id, w.currency
       FOR UPDATE OF w
)
UPDATE wallet AS w
   SET balance = w.balance + locked.amount, updated_at = :at
  FROM locked
 WHERE w.customer_id = locked.customer_id AND w.currency = locked.currency
