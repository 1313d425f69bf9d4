-- Units held and sold, once per SKU. The table's constraint never_oversold refuses more than the total;
-- fewer rows than SKUs means that an item has vanished.
UPDATE sale_item AS item
   SET held = item.held + new.held, sold = item.sold + new.sold
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS new (sale_id, sku, held, sold)
 WHERE item.sale_id = new.sale_id AND item.sku = new.sku
