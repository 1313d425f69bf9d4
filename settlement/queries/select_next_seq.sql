-- The next event sequence of a partition.
SELECT next_seq FROM log_position WHERE topic = $1 AND partition = $2
