-- Commands that moved nothing, or not what they asked for, with the state in which they found their orders.
INSERT INTO order_note (partition, log_offset, order_id, command, result, detail, at)
SELECT $1, log_offset, order_id, command, result, jsonb_build_object('status', found), $7
  FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[])
    AS new (log_offset, order_id, command, result, found)
