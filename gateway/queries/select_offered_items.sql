-- Returns the offered items of a sale with the units that orders and dead letters have taken.
-- @returns many
-- @nullable total
SELECT sku, total, held + sold + dead_lettered AS taken
  FROM sale_item
 WHERE sale_id = :sale_id AND offered;
