-- Creates a draft in the partition that carries the fewest sales. No row: the sale exists already, or
-- settlement has not made the log's partitions known yet.
INSERT INTO sale (sale_id, partition, title, currency, opens_at, closes_at, max_orders_per_customer,
                  hold_seconds, delivery_fee, free_delivery_from, discount_policies)
SELECT $1, p.partition, $2, $3, $4, $5, $6, $7, $8, $9, $10
  FROM log_position p
 WHERE p.topic LIKE '%orders'
 ORDER BY (SELECT count(*) FROM sale s WHERE s.partition = p.partition), p.partition
 LIMIT 1
ON CONFLICT (sale_id) DO NOTHING;
