-- Orders that commands name, as they stand.
SELECT * FROM standing_order WHERE order_id = ANY ($1)
