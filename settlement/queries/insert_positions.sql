-- Inserts a row for each partition of the log and of the events, starting at offset 0. Existing rows are the truth
-- about what is settled and are kept.
WITH partitions AS (
    SELECT partition FROM generate_series(0, :partitions::integer - 1) AS partition
), positions AS (
    INSERT INTO log_position (topic, partition) SELECT :topic, partition FROM partitions
    ON CONFLICT DO NOTHING
)
INSERT INTO publish_cursor (partition) SELECT partition FROM partitions
ON CONFLICT DO NOTHING
