-- The lines of new orders.
INSERT INTO order_line (order_id, line, sku, quantity, unit_price)
SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[], $5::bigint[])
