-- Sales of these partitions that have a state in Redis, and how it is reached.
SELECT sale_id, partition, epoch, scripts
  FROM sale
 WHERE partition = ANY ($1) AND ready AND scripts IS NOT NULL
 ORDER BY sale_id
