-- Raises a sale above what the topic `sales` has published of it. After a restore, or a failover that lost commits, the
-- topic is ahead: gateways never return to an older epoch or version, so they would not follow Postgres any more. What
-- Redis stores belongs to the lost history: the sale is rebuilt in an epoch that was never published.
UPDATE sale
   SET epoch = greatest(epoch, :epoch), version = greatest(version, :version) + 1, ready = false, was_ready = true,
       mark = NULL, scripts = NULL, rebuild_requested = false, rebuild_reason = 'restored', rebuild_since = now(),
       updated_at = now()
 WHERE sale_id = :sale_id AND (epoch, version) < (:epoch, :version)
