-- How far sales are settled: behind the highest sequence, and the epoch of the highest barrier. Neither
-- goes back.
UPDATE sale
   SET next_sequence = greatest(sale.next_sequence, new.next_sequence),
       settled_epoch = greatest(sale.settled_epoch, new.settled_epoch)
  FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (sale_id, next_sequence, settled_epoch)
 WHERE sale.sale_id = new.sale_id
