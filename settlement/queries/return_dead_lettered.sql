-- Units of a dead letter that is decided: no longer dead-lettered.
UPDATE sale_item AS item
   SET dead_lettered = item.dead_lettered - letter.units::bigint
  FROM jsonb_each_text($2) AS letter (sku, units)
 WHERE item.sale_id = $1 AND item.sku = letter.sku
