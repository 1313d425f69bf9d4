-- Returns items that have nothing left and were not recorded before. Cheap: it reads no orders.
-- @returns many
SELECT item.sale_id, item.sku, item.total
  FROM sale_item AS item
 WHERE item.total > 0 AND item.held + item.sold >= item.total
   AND NOT EXISTS (SELECT FROM analytics_sell_out AS noted
                    WHERE noted.sale_id = item.sale_id AND noted.sku = item.sku);
