-- Returns the next event sequence of a partition.
-- @returns one
SELECT next_seq FROM log_position WHERE topic = :topic AND partition = :partition
