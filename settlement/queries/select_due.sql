-- Whether a hold in these partitions ended unpaid before $2: which of them need a tick.
SELECT DISTINCT s.partition
  FROM sale s
 WHERE s.partition = ANY ($1)
   AND EXISTS (SELECT FROM customer_order o
                WHERE o.sale_id = s.sale_id AND o.status = 'created' AND o.hold_expires_at < $2)
