-- Records that could not be applied, newest first, from below an id on (the page's cursor).
SELECT jsonb_build_object(
           'id', id, 'state', state, 'reason', reason, 'detail', detail, 'resolution', resolution,
           'topic', topic, 'partition', partition, 'offset', log_offset, 'sale_id', sale_id, 'epoch', epoch,
           'units', units, 'headers', headers, 'key', encode(key, 'escape'), 'value', encode(value, 'escape'),
           'value_base64', translate(encode(value, 'base64'), E'\n', ''),
           'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'decided_at', to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS letter
  FROM dead_letter
 WHERE ($1::bigint IS NULL OR id = $1)
   AND ($2::text IS NULL OR state = $2)
   AND ($3::text IS NULL OR sale_id = $3)
   AND id < $4
 ORDER BY id DESC
 LIMIT $5
