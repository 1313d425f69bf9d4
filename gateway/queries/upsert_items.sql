-- Stores a draft's items, in the operator's order.
-- @nullable totals[]
INSERT INTO sale_item (sale_id, sku, position, name, price, total, max_quantity_per_order)
SELECT :sale_id, item.sku, item.position, item.name, item.price, item.total, item.max_quantity
  FROM unnest(:skus::text[], :names::text[], :prices::bigint[], :totals::bigint[], :max_quantities::integer[])
       WITH ORDINALITY AS item (sku, name, price, total, max_quantity, position)
ON CONFLICT (sale_id, sku) DO UPDATE
   SET position = excluded.position, name = excluded.name, price = excluded.price, total = excluded.total,
       max_quantity_per_order = excluded.max_quantity_per_order, offered = true;
