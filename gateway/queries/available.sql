-- Units that Postgres has left, per limited SKU that the sale offers: what readers get while Redis
-- cannot be looked at. Reservations that are not settled yet are still in it.
SELECT sku, total - held - sold - dead_lettered
  FROM sale_item
 WHERE sale_id = $1 AND offered AND total IS NOT NULL;
