-- Whether the barrier is settled, and whether its partition moves meanwhile. Also whether the epoch is
-- still the newest.
SELECT s.settled_epoch, s.epoch, p.next_offset
  FROM sale s JOIN log_position p ON p.partition = s.partition AND p.topic = $2
 WHERE s.sale_id = $1
