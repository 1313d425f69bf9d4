-- Units that can be given to orders, per SKU; null: unlimited.
SELECT sku, total - held - sold - dead_lettered AS available
  FROM sale_item WHERE sale_id = $1 ORDER BY sku FOR UPDATE
