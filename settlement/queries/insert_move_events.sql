-- Inserts one event per transition, in order, from sequence :first_seq on. No ON CONFLICT: a duplicate sequence must
-- raise an alarm.
-- @columns MoveColumns
-- @nullable reason[]
-- @type status = contract::lifecycle::OrderStatus
INSERT INTO order_event (partition, seq, order_id, status, at, detail)
SELECT :partition, :first_seq::bigint + ordinality - 1, order_id, status, :at,
       CASE WHEN reason IS NOT NULL THEN jsonb_build_object('reason', reason) END
  FROM unnest(:order_id::uuid[], :status::text[], :reason::text[]) WITH ORDINALITY AS new (order_id, status, reason, ordinality)
