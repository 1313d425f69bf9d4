-- Locks an undecided dead letter of this partition.
-- @returns optional
-- @nullable key, value, sale_id, settled_epoch
-- @type headers = tokio_postgres::types::Json<std::collections::HashMap<String, Option<String>>>
-- @type units = tokio_postgres::types::Json<std::collections::BTreeMap<contract::ids::Sku, i64>>
SELECT log_offset, key, value, headers, sale_id, units, settled_epoch
  FROM dead_letter
 WHERE id = :id AND topic = :topic AND partition = :partition AND state = 'undecided'
   FOR UPDATE
