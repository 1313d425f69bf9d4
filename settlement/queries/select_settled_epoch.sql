-- Returns whether the barrier is settled, whether its partition advances meanwhile, and whether the epoch is still the
-- newest.
-- @returns optional
SELECT s.settled_epoch, s.epoch, p.next_offset
  FROM sale s JOIN log_position p ON p.partition = s.partition AND p.topic = :topic
 WHERE s.sale_id = :sale_id
