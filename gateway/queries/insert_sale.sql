-- Creates a draft in the partition that carries the fewest sales. No row: the sale already exists, or settlement has
-- not stored the log's partitions yet.
-- @nullable opens_at, closes_at, max_orders_per_customer, free_delivery_from
-- @type discount_policies = tokio_postgres::types::Json<&'a [contract::sale::DiscountPolicy]>
INSERT INTO sale (sale_id, partition, title, currency, opens_at, closes_at, max_orders_per_customer,
                  hold_seconds, delivery_fee, free_delivery_from, discount_policies)
SELECT :sale_id, p.partition, :title, :currency, :opens_at, :closes_at, :max_orders_per_customer,
       :hold_seconds, :delivery_fee, :free_delivery_from, :discount_policies
  FROM log_position p
 WHERE p.topic LIKE '%orders'
 ORDER BY (SELECT count(*) FROM sale s WHERE s.partition = p.partition), p.partition
 LIMIT 1
ON CONFLICT (sale_id) DO NOTHING;
