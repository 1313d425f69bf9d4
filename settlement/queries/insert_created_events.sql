-- Inserts one event per new order, in order, from sequence :first_seq on. All have the moment at which the batch is
-- settled, which is also published. No ON CONFLICT: a duplicate sequence must raise an alarm.
INSERT INTO order_event (partition, seq, order_id, status, at)
SELECT :partition, :first_seq::bigint + ordinality - 1, order_id, 'created', :at
  FROM unnest(:order_id::uuid[]) WITH ORDINALITY AS new (order_id, ordinality)
