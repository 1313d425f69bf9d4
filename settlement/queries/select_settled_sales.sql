-- What the settle loop must know of sales before it applies their records. Removed items are among
-- the SKUs as long as their rows are: an order that was accepted before the removal still counts.
SELECT s.sale_id, s.partition, s.next_sequence, s.settled_epoch, s.currency,
       ARRAY(SELECT i.sku FROM sale_item i WHERE i.sale_id = s.sale_id)
  FROM sale s
 WHERE s.sale_id = ANY ($1)
