-- Inserts the lines of new orders.
-- @columns LineColumns
INSERT INTO order_line (order_id, line, sku, quantity, unit_price)
SELECT * FROM unnest(:order_id::uuid[], :line::integer[], :sku::text[], :quantity::integer[], :unit_price::bigint[])
