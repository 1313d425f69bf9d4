-- What customers have, per currency.
SELECT customer_id, currency, balance FROM wallet WHERE customer_id = ANY ($1)
