-- A row for each partition of the log and of the events, from its beginning. What stands already is the
-- truth about what was settled, and stays.
WITH partitions AS (
    SELECT partition FROM generate_series(0, $2::integer - 1) AS partition
), positions AS (
    INSERT INTO log_position (topic, partition) SELECT $1, partition FROM partitions
    ON CONFLICT DO NOTHING
)
INSERT INTO publish_cursor (partition) SELECT partition FROM partitions
ON CONFLICT DO NOTHING
