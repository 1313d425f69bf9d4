-- Marks the epoch as ready to sell. No row: a newer epoch has begun. A rebuild that was requested while this epoch
-- was being built stays due, with its own reason.
-- @type scripts = tokio_postgres::types::Json<&'a contract::publication::ScriptDigests>
UPDATE sale
   SET ready = true, was_ready = true, mark = :mark, scripts = :scripts,
       version = version + 1, updated_at = now(),
       rebuild_reason = CASE WHEN rebuild_requested THEN rebuild_reason END,
       rebuild_since = CASE WHEN rebuild_requested THEN rebuild_since END,
       rebuild_step = NULL, rebuild_orders_written = NULL, rebuild_by = NULL, rebuild_seen_at = NULL
 WHERE sale_id = :sale_id AND epoch = :epoch AND NOT ready
