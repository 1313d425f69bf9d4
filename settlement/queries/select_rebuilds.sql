-- Sales of these partitions whose Redis state is to be built: never built; asked for; or an attempt that
-- did not end (ours or a former owner's), which is never resumed. An attempt of another settler that shows
-- that it lives is left alone: ownership may be believed twice for a moment, and two that begin epochs
-- against each other would never end. Those that sell come first.
SELECT sale_id, partition, epoch, rebuild_requested, rebuild_reason IN ('operator', 'items') AS by_operator
  FROM sale
 WHERE partition = ANY ($1) AND state <> 'draft'
   AND (epoch = 0 OR rebuild_requested OR NOT ready)
   AND (rebuild_by IS NULL OR rebuild_by = $2 OR rebuild_seen_at < now() - $3 * interval '1 millisecond')
 ORDER BY state = 'open' DESC, sale_id
