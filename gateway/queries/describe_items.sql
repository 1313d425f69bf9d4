-- Changes the parts of items that need no rebuild; totals change through the log alone.
UPDATE sale_item AS i
   SET name = item.name, price = item.price, max_quantity_per_order = item.max_quantity, position = item.position
  FROM unnest(:skus::text[], :names::text[], :prices::bigint[], :max_quantities::integer[])
       WITH ORDINALITY AS item (sku, name, price, max_quantity, position)
 WHERE i.sale_id = :sale_id AND i.sku = item.sku;
