-- Inserts the offsets at which partitions are read for the first time.
INSERT INTO analytics_position (topic, partition, next_offset)
SELECT * FROM unnest(:topics::text[], :partitions::integer[], :offsets::bigint[])
ON CONFLICT DO NOTHING;
