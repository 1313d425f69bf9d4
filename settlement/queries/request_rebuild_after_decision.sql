-- Requests a rebuild for a decision that a release cannot carry to Redis: orders of an epoch before the current one.
UPDATE sale
   SET rebuild_requested = true, rebuild_reason = 'dead_letter', rebuild_since = now(), updated_at = now()
 WHERE sale_id = :sale_id AND epoch > :epoch AND NOT rebuild_requested AND state <> 'draft'
