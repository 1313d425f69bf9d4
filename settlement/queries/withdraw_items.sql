-- Withdraws items that are no longer offered: kept for the orders that name them, or deleted.
WITH gone AS (
    DELETE FROM sale_item AS item
     WHERE item.sale_id = :sale_id AND item.sku <> ALL (:skus)
       AND item.held = 0 AND item.sold = 0 AND item.dead_lettered = 0
       AND NOT EXISTS (SELECT FROM order_line AS line JOIN customer_order AS o USING (order_id)
                        WHERE o.sale_id = :sale_id AND line.sku = item.sku)
)
UPDATE sale_item SET offered = false
 WHERE sale_id = :sale_id AND sku <> ALL (:skus) AND offered
   AND (held > 0 OR sold > 0 OR dead_lettered > 0
        OR EXISTS (SELECT FROM order_line AS line JOIN customer_order AS o USING (order_id)
                    WHERE o.sale_id = :sale_id AND line.sku = sale_item.sku))
