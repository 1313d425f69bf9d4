-- One event a new order, in order, from sequence $2 on. No ON CONFLICT: a doubled sequence is an alarm.
INSERT INTO order_event (partition, seq, order_id, status, at)
SELECT $1, $2::bigint + ordinality - 1, order_id, 'created', now()
  FROM unnest($3::uuid[]) WITH ORDINALITY AS new (order_id, ordinality)
