-- Returns the units that can be sold, per offered item; null means unlimited.
-- @returns many
-- @nullable total, available
SELECT sku, total, held, sold, total - held - sold - dead_lettered AS available
  FROM sale_item
 WHERE sale_id = :sale_id AND offered
 ORDER BY position
