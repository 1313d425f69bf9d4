-- Requests a rebuild from the owner of the sale's partition. A draft has no Redis state yet. An operator's request
-- replaces any other reason, so that it is not delayed.
UPDATE sale
   SET rebuild_requested = true, rebuild_reason = 'operator', rebuild_since = now(), updated_at = now()
 WHERE sale_id = :sale_id AND state <> 'draft';
