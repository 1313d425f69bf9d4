-- Where reading begins, of partitions that were never read: $1 topics, $2 partitions, $3 offsets.
INSERT INTO analytics_position (topic, partition, next_offset)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
ON CONFLICT DO NOTHING;
