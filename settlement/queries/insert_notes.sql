-- Inserts commands that had no effect, or not the requested one, with the state in which they found their orders.
-- @columns NoteColumns
INSERT INTO order_note (partition, log_offset, order_id, command, result, detail, at)
SELECT :partition, log_offset, order_id, command, result, jsonb_build_object('status', found), :at
  FROM unnest(:log_offset::bigint[], :order_id::uuid[], :command::text[], :result::text[], :found::text[])
    AS new (log_offset, order_id, command, result, found)
