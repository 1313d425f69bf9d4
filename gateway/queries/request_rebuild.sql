-- Asks the owner of the sale's partition for a rebuild. A draft has no Redis state yet. An operator's word
-- stands before any other reason: it is not made to wait.
UPDATE sale
   SET rebuild_requested = true, rebuild_reason = 'operator', rebuild_since = now(), updated_at = now()
 WHERE sale_id = $1 AND state <> 'draft';
