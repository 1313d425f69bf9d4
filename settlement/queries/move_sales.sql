-- Records how far sales are settled: the sequence behind the highest one, and the epoch of the highest barrier.
-- Neither decreases.
-- @columns SaleColumns
UPDATE sale
   SET next_sequence = greatest(sale.next_sequence, new.next_sequence),
       settled_epoch = greatest(sale.settled_epoch, new.settled_epoch)
  FROM unnest(:sale_id::text[], :next_sequence::bigint[], :settled_epoch::bigint[]) AS new (sale_id, next_sequence, settled_epoch)
 WHERE sale.sale_id = new.sale_id
