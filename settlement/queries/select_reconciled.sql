-- Sales of these partitions that are to be compared with Redis: how it is reached, how far they are settled
-- (read before Redis is looked at, so it must have given out every sequence below), and what they count.
SELECT sale_id, partition, epoch, scripts, next_sequence,
       ARRAY(SELECT sku FROM sale_item AS item
              WHERE item.sale_id = sale.sale_id AND offered AND total IS NOT NULL ORDER BY position)
  FROM sale
 WHERE partition = ANY ($1) AND ready AND scripts IS NOT NULL
 ORDER BY sale_id
