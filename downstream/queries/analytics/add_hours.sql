-- Adds the deliveries of a batch to their hours.
-- @columns HourCounts
INSERT INTO analytics_hour AS hour (sale_id, at, shipped, delivered, preparation_ms, on_the_way, delivery_ms)
SELECT * FROM unnest(:sale_id::text[], :at::timestamptz[], :shipped::bigint[], :delivered::bigint[], :preparation_ms::bigint[], :on_the_way::bigint[], :delivery_ms::bigint[])
ON CONFLICT (sale_id, at) DO UPDATE
   SET shipped        = hour.shipped + excluded.shipped,
       delivered      = hour.delivered + excluded.delivered,
       preparation_ms = hour.preparation_ms + excluded.preparation_ms,
       on_the_way     = hour.on_the_way + excluded.on_the_way,
       delivery_ms    = hour.delivery_ms + excluded.delivery_ms;
