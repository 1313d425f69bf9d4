-- Adds to held and sold units, once per SKU. The constraint never_oversold refuses more than the total; fewer rows
-- than SKUs mean that an item no longer exists.
-- @columns UnitColumns
UPDATE sale_item AS item
   SET held = item.held + new.held, sold = item.sold + new.sold
  FROM unnest(:sale_id::text[], :sku::text[], :held::bigint[], :sold::bigint[]) AS new (sale_id, sku, held, sold)
 WHERE item.sale_id = new.sale_id AND item.sku = new.sku
