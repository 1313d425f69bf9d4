-- How far partitions of the log are settled.
SELECT partition, next_offset, next_seq
  FROM log_position
 WHERE topic = $1 AND partition = ANY ($2)
 ORDER BY partition
