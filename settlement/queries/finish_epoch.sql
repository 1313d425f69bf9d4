-- The epoch can sell. No row: a newer one has begun meanwhile. What was asked for while this one was being
-- built is still to come, with its own reason.
UPDATE sale
   SET ready = true, was_ready = true, mark = $3, scripts = $4,
       version = version + 1, updated_at = now(),
       rebuild_reason = CASE WHEN rebuild_requested THEN rebuild_reason END,
       rebuild_since = CASE WHEN rebuild_requested THEN rebuild_since END,
       rebuild_step = NULL, rebuild_orders_written = NULL, rebuild_by = NULL, rebuild_seen_at = NULL
 WHERE sale_id = $1 AND epoch = $2 AND NOT ready
