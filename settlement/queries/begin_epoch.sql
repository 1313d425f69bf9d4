-- Begins an epoch, if no other has begun since it was looked at. From here on nothing of the old epoch
-- is to be believed, and gateways that hear of it stop.
UPDATE sale
   SET epoch = epoch + 1, ready = false, mark = NULL, scripts = NULL,
       version = version + 1, rebuild_requested = false, updated_at = now(),
       rebuild_reason = coalesce(rebuild_reason, CASE WHEN was_ready THEN 'unfinished' ELSE 'first_opening' END),
       rebuild_since = coalesce(rebuild_since, now()), rebuild_step = 'announce',
       rebuild_orders_written = NULL, rebuild_by = $3, rebuild_seen_at = now()
 WHERE sale_id = $1 AND epoch = $2 AND state <> 'draft'
RETURNING epoch, was_ready, settled_epoch
