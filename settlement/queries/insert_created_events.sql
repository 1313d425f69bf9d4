-- One event a new order, in order, from sequence $2 on; all at the moment at which the batch is settled,
-- which is also what the topics are told. No ON CONFLICT: a doubled sequence is an alarm.
INSERT INTO order_event (partition, seq, order_id, status, at)
SELECT $1, $2::bigint + ordinality - 1, order_id, 'created', $4
  FROM unnest($3::uuid[]) WITH ORDINALITY AS new (order_id, ordinality)
