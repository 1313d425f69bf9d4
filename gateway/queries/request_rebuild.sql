-- Asks the owner of the sale's partition for a rebuild. A draft has no Redis state yet.
UPDATE sale
   SET rebuild_requested = true, updated_at = now()
 WHERE sale_id = $1 AND state <> 'draft';
