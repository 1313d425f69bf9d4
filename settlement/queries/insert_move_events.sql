-- One event a move, in order, from sequence $2 on. No ON CONFLICT: a doubled sequence is an alarm.
INSERT INTO order_event (partition, seq, order_id, status, at, detail)
SELECT $1, $2::bigint + ordinality - 1, order_id, status, $6,
       CASE WHEN reason IS NOT NULL THEN jsonb_build_object('reason', reason) END
  FROM unnest($3::uuid[], $4::text[], $5::text[]) WITH ORDINALITY AS new (order_id, status, reason, ordinality)
