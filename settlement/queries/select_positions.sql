-- Returns how far partitions of the log are settled.
-- @returns many
SELECT partition, next_offset, next_seq
  FROM log_position
 WHERE topic = :topic AND partition = ANY (:partitions)
 ORDER BY partition
