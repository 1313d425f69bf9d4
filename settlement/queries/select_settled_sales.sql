-- Returns what the settle loop needs of sales before it applies their records. Removed items are among the SKUs while
-- their rows exist: an order that was accepted before the removal still counts.
-- @returns many
-- @type currency = String
-- @type skus = contract::ids::Sku
SELECT s.sale_id, s.partition, s.next_sequence, s.settled_epoch, s.currency,
       ARRAY(SELECT i.sku FROM sale_item i WHERE i.sale_id = s.sale_id) AS skus
  FROM sale s
 WHERE s.sale_id = ANY (:sale_ids)
