-- A draft's items, in the operator's order.
INSERT INTO sale_item (sale_id, sku, position, name, price, total, max_quantity_per_order)
SELECT $1, item.sku, item.position, item.name, item.price, item.total, item.max_quantity
  FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::integer[])
       WITH ORDINALITY AS item (sku, name, price, total, max_quantity, position)
ON CONFLICT (sale_id, sku) DO UPDATE
   SET position = excluded.position, name = excluded.name, price = excluded.price, total = excluded.total,
       max_quantity_per_order = excluded.max_quantity_per_order, offered = true;
