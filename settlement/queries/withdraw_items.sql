-- Items that are not offered any more: kept for the orders that name them, or removed without a trace.
WITH gone AS (
    DELETE FROM sale_item AS item
     WHERE item.sale_id = $1 AND item.sku <> ALL ($2)
       AND item.held = 0 AND item.sold = 0 AND item.dead_lettered = 0
       AND NOT EXISTS (SELECT FROM order_line AS line JOIN customer_order AS o USING (order_id)
                        WHERE o.sale_id = $1 AND line.sku = item.sku)
)
UPDATE sale_item SET offered = false
 WHERE sale_id = $1 AND sku <> ALL ($2) AND offered
   AND (held > 0 OR sold > 0 OR dead_lettered > 0
        OR EXISTS (SELECT FROM order_line AS line JOIN customer_order AS o USING (order_id)
                    WHERE o.sale_id = $1 AND line.sku = sale_item.sku))
