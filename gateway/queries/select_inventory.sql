-- Returns where a sale's units are, by Postgres. Items that are no longer offered stay while orders name them.
-- @returns many
-- @nullable scripts, total
SELECT s.epoch, s.ready, s.scripts, i.sku, i.total, i.held, i.sold, i.dead_lettered
  FROM sale s
  JOIN sale_item i USING (sale_id)
 WHERE s.sale_id = :sale_id AND (i.offered OR i.held + i.sold > 0)
 ORDER BY i.offered DESC, i.position;
