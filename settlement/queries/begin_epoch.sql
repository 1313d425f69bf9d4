-- Begins an epoch, unless another one has begun since it was read. From here on the old epoch's state is not
-- trusted, and gateways that read the publication stop selling.
-- @returns optional
UPDATE sale
   SET epoch = epoch + 1, ready = false, mark = NULL, scripts = NULL,
       version = version + 1, rebuild_requested = false, updated_at = now(),
       rebuild_reason = coalesce(rebuild_reason, CASE WHEN was_ready THEN 'unfinished' ELSE 'first_opening' END),
       rebuild_since = coalesce(rebuild_since, now()), rebuild_step = 'announce',
       rebuild_orders_written = NULL, rebuild_by = :rebuild_by, rebuild_seen_at = now()
 WHERE sale_id = :sale_id AND epoch = :epoch AND state <> 'draft'
RETURNING epoch, was_ready, settled_epoch
