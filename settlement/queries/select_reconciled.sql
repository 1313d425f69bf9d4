-- Returns the sales of these partitions that are compared with Redis: the scripts that reach their state, how far they
-- are settled (read before Redis, which must therefore have issued each lower sequence), and the limited SKUs.
-- @returns many
-- @type skus = contract::ids::Sku
SELECT sale_id, partition, epoch, scripts, next_sequence,
       ARRAY(SELECT sku FROM sale_item AS item
              WHERE item.sale_id = sale.sale_id AND offered AND total IS NOT NULL ORDER BY position) AS skus
  FROM sale
 WHERE partition = ANY (:partitions) AND ready AND scripts IS NOT NULL
 ORDER BY sale_id
