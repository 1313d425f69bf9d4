-- Returns where the units of sales of these partitions are, for gauges.
-- @returns many
-- @nullable sku, total, held, sold, dead_lettered
-- @type state = contract::sale::SaleState
SELECT s.sale_id, s.state, s.epoch, i.sku, i.total, i.held, i.sold, i.dead_lettered, s.ready
  FROM sale s LEFT JOIN sale_item i ON i.sale_id = s.sale_id AND i.offered
 WHERE s.partition = ANY (:partitions)
 ORDER BY s.sale_id, i.position
