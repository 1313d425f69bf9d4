-- Asks for a rebuild of an epoch that is proven not to be what it should be. No row: another epoch has
-- begun meanwhile, so the proof is about the past; or it has been asked for already.
UPDATE sale
   SET rebuild_requested = true, rebuild_reason = $3, rebuild_since = now(), updated_at = now()
 WHERE sale_id = $1 AND epoch = $2 AND ready AND NOT rebuild_requested AND state <> 'draft'
