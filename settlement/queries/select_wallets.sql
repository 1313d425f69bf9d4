-- Returns customers' balances, per currency.
-- @returns many
SELECT customer_id, currency, balance FROM wallet WHERE customer_id = ANY (:customer_ids)
