-- What may change about an item without a rebuild; totals change by the log alone.
UPDATE sale_item AS i
   SET name = item.name, price = item.price, max_quantity_per_order = item.max_quantity, position = item.position
  FROM unnest($2::text[], $3::text[], $4::bigint[], $5::integer[])
       WITH ORDINALITY AS item (sku, name, price, max_quantity, position)
 WHERE i.sale_id = $1 AND i.sku = item.sku;
