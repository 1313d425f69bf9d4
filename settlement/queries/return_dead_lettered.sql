-- Subtracts the units of a decided dead letter: they are no longer dead-lettered.
UPDATE sale_item AS item
   SET dead_lettered = greatest(item.dead_lettered - letter.units::bigint, 0)
  FROM jsonb_each_text(:units) AS letter (sku, units)
 WHERE item.sale_id = :sale_id AND item.sku = letter.sku
