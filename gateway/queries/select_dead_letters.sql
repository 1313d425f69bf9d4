-- Returns records that could not be applied, newest first, with ids below the page's cursor.
-- @returns many
-- @nullable id, state, in_sale
-- @type letter = crate::read::stored_json::StoredJson
SELECT jsonb_build_object(
           'id', id, 'state', state, 'reason', reason, 'detail', detail, 'resolution', resolution,
           'topic', topic, 'partition', partition, 'offset', log_offset, 'sale_id', sale_id, 'epoch', epoch,
           'units', units, 'headers', headers, 'key', encode(key, 'escape'), 'value', encode(value, 'escape'),
           'value_base64', translate(encode(value, 'base64'), E'\n', ''),
           'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
           'decided_at', to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS letter
  FROM dead_letter
 WHERE (:id::bigint IS NULL OR id = :id)
   AND (:state::text IS NULL OR state = :state)
   AND (:in_sale::text IS NULL OR sale_id = :in_sale)
   AND id < :before_id
 ORDER BY id DESC
 LIMIT :limit
