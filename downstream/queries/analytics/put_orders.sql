-- Stores the times of orders from which durations are computed.
-- @columns OrderTimes
-- @nullable paid_at[], shipped_at[]
INSERT INTO analytics_order (order_id, sale_id, seen, paid_at, shipped_at)
SELECT * FROM unnest(:order_id::uuid[], :sale_id::text[], :seen::integer[], :paid_at::timestamptz[], :shipped_at::timestamptz[])
ON CONFLICT (order_id) DO UPDATE
   SET seen = excluded.seen, paid_at = excluded.paid_at, shipped_at = excluded.shipped_at;
