-- Returns what a rebuild needs of the sale itself, inside its snapshot. The watermark of releases is the last event
-- sequence of the partition: units that returned up to it are part of the items' stock.
-- @returns optional
SELECT s.next_sequence, s.max_orders_per_customer IS NOT NULL AS limited, p.next_seq - 1 AS released
  FROM sale s JOIN log_position p ON p.partition = s.partition AND p.topic = :topic
 WHERE s.sale_id = :sale_id AND s.epoch = :epoch AND NOT s.ready
