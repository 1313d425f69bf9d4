-- A card payment by all of its names: a callback that has one of them wrong speaks of nothing that we have.
SELECT status FROM payment WHERE payment_id = $1 AND order_id = $2 AND sale_id = $3 AND method = 'card';
