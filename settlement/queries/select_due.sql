-- Whether something is due in these partitions before $2 (a hold that ended unpaid; if $3, goods that go on by
-- themselves): which of them need a tick.
SELECT DISTINCT s.partition
  FROM sale s
 WHERE s.partition = ANY ($1)
   AND (EXISTS (SELECT FROM customer_order o
                 WHERE o.sale_id = s.sale_id AND o.status = 'created' AND o.hold_expires_at < $2)
        OR EXISTS (SELECT FROM customer_order o
                    WHERE o.sale_id = s.sale_id AND o.status = 'payment_requested' AND o.hold_expires_at < $2))
UNION
SELECT DISTINCT partition
  FROM delivery
 WHERE $3 AND partition = ANY ($1) AND next_move_at < $2
