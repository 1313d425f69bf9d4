-- Ends a failed attempt: the owner of the partition may begin another one at once.
UPDATE sale
   SET rebuild_step = NULL, rebuild_by = NULL, rebuild_seen_at = NULL
 WHERE sale_id = :sale_id AND rebuild_by = :rebuild_by AND NOT ready
