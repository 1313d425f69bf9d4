-- Returns what has been counted of these orders. Locked: two partitions never carry the same order, but a replayed
-- event may arrive through another partition.
-- @returns many
-- @nullable paid_at, shipped_at
SELECT order_id, seen, paid_at, shipped_at FROM analytics_order WHERE order_id = ANY(:order_ids) ORDER BY order_id FOR UPDATE;
