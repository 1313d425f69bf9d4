-- Returns the sales of these partitions whose Redis state must be built: never built; a rebuild was requested; or an
-- attempt did not end (ours or a former owner's), which is never resumed. An attempt of another settler that is alive
-- is left alone: two processes may briefly both believe that they own a partition, and two that begin epochs against
-- each other would never end. Open sales come first.
-- @returns many
-- @nullable by_operator
SELECT sale_id, partition, epoch, rebuild_requested, rebuild_reason IN ('operator', 'items') AS by_operator
  FROM sale
 WHERE partition = ANY (:partitions) AND state <> 'draft'
   AND (epoch = 0 OR rebuild_requested OR NOT ready)
   AND (rebuild_by IS NULL OR rebuild_by = :rebuild_by OR rebuild_seen_at < now() - :stale_ms * interval '1 millisecond')
 ORDER BY state = 'open' DESC, sale_id
