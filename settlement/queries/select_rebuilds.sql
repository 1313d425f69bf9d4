-- Sales of these partitions whose Redis state is to be built: never built; asked for by an operator; or
-- an attempt that did not end (ours or a former owner's), which is never resumed.
SELECT sale_id, partition, epoch
  FROM sale
 WHERE partition = ANY ($1) AND state <> 'draft'
   AND (epoch = 0 OR rebuild_requested OR NOT ready)
 ORDER BY sale_id
