-- Moves the positions of the partitions in the batch. Fewer rows than partitions: another process has counted these
-- events, and the batch is dropped.
UPDATE analytics_position AS position
   SET next_offset = batch.next
  FROM unnest(:topics::text[], :partitions::integer[], :from_offsets::bigint[], :to_offsets::bigint[]) AS batch (topic, partition, before, next)
 WHERE position.topic = batch.topic AND position.partition = batch.partition
   AND position.next_offset = batch.before;
