-- What was counted of these orders. Locked: two partitions never carry the same order, but a replayed
-- event may come by another way.
SELECT order_id, seen, paid_at, shipped_at FROM analytics_order WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE;
