-- An attempt has failed: whoever owns the partition may begin another one at once.
UPDATE sale
   SET rebuild_step = NULL, rebuild_by = NULL, rebuild_seen_at = NULL
 WHERE sale_id = $1 AND rebuild_by = $2 AND NOT ready
