-- Units that can be sold, per offered item; null: unlimited.
SELECT sku, total, total - held - sold - dead_lettered AS available
  FROM sale_item
 WHERE sale_id = $1 AND offered
 ORDER BY position
