-- Units that are free again, on their way back to Redis, from sequence $2 on.
INSERT INTO stock_release (partition, seq, sale_id, sku, units, order_id, at)
SELECT $1, $2::bigint + ordinality - 1, sale_id, sku, units, order_id, $7
  FROM unnest($3::text[], $4::text[], $5::bigint[], $6::uuid[])
       WITH ORDINALITY AS new (sale_id, sku, units, order_id, ordinality)
