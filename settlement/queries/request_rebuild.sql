-- Requests a rebuild of an epoch that is proven to be wrong. No row: another epoch has begun, so the proof is
-- outdated; or a rebuild has already been requested.
UPDATE sale
   SET rebuild_requested = true, rebuild_reason = :reason, rebuild_since = now(), updated_at = now()
 WHERE sale_id = :sale_id AND epoch = :epoch AND ready AND NOT rebuild_requested AND state <> 'draft'
