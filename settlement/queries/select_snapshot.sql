-- What a rebuild needs of the sale itself, inside its snapshot. The watermark of releases is the last
-- event sequence of the partition: units that came back until then are in the items below.
SELECT s.next_sequence, s.max_orders_per_customer IS NOT NULL AS limited, p.next_seq - 1 AS released
  FROM sale s JOIN log_position p ON p.partition = s.partition AND p.topic = $2
 WHERE s.sale_id = $1 AND s.epoch = $3 AND NOT s.ready
