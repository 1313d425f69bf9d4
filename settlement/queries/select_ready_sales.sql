-- Returns the sales of these partitions that have a state in Redis, and the scripts that reach it.
-- @returns many
SELECT sale_id, partition, epoch, scripts
  FROM sale
 WHERE partition = ANY (:partitions) AND ready AND scripts IS NOT NULL
 ORDER BY sale_id
