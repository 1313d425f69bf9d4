-- Inserts units that are free again and return to Redis, from sequence :first_seq on.
-- @columns ReleaseColumns
-- @nullable order_id[]
INSERT INTO stock_release (partition, seq, sale_id, sku, units, order_id, at)
SELECT :partition, :first_seq::bigint + ordinality - 1, sale_id, sku, units, order_id, :at
  FROM unnest(:sale_id::text[], :sku::text[], :units::bigint[], :order_id::uuid[])
       WITH ORDINALITY AS new (sale_id, sku, units, order_id, ordinality)
