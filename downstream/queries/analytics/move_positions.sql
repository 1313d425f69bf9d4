-- Of each partition in the batch: $1 topics, $2 partitions, from $3, to $4. Fewer rows than partitions:
-- another process has counted these events, and the batch is dropped.
UPDATE analytics_position AS position
   SET next_offset = batch.next
  FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) AS batch (topic, partition, before, next)
 WHERE position.topic = batch.topic AND position.partition = batch.partition
   AND position.next_offset = batch.before;
