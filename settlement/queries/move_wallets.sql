-- Wallets by what moved in them, locked in one order, so that owners of two partitions do not deadlock. The
-- constraint wallet_never_below_zero refuses what another partition has spent meanwhile.
WITH moved AS (
    SELECT customer_id, currency, sum(amount)::bigint AS amount
      FROM unnest($1::text[], $2::text[], $3::bigint[]) AS entry (customer_id, currency, amount)
     GROUP BY customer_id, currency
), locked AS (
    SELECT w.customer_id, w.currency, moved.amount
      FROM wallet w JOIN moved USING (customer_id, currency)
     ORDER BY w.customer_id, w.currency
       FOR UPDATE OF w
)
UPDATE wallet AS w
   SET balance = w.balance + locked.amount, updated_at = $4
  FROM locked
 WHERE w.customer_id = locked.customer_id AND w.currency = locked.currency
