-- Returns the units that Postgres has left, per limited SKU that the sale offers. Readers get these while Redis cannot
-- be read. Reservations that are not settled yet are still included.
-- @returns many
SELECT sku, total - held - sold - dead_lettered AS available
  FROM sale_item
 WHERE sale_id = :sale_id AND offered AND total IS NOT NULL;
