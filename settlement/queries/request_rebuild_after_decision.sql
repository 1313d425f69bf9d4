-- Redis must learn of what it cannot be told by a release: orders of an epoch before its own.
UPDATE sale
   SET rebuild_requested = true, rebuild_reason = 'dead_letter', rebuild_since = now(), updated_at = now()
 WHERE sale_id = $1 AND epoch > $2 AND NOT rebuild_requested AND state <> 'draft'
