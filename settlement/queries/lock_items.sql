-- Returns the units that orders may take, per SKU; null means unlimited.
-- @returns many
-- @nullable available
SELECT sku, total - held - sold - dead_lettered AS available
  FROM sale_item WHERE sale_id = :sale_id ORDER BY sku FOR UPDATE
