-- Returns those of these partitions in which something is due before :before and that need a tick: a hold that ended
-- unpaid or, if :automatic_delivery, a delivery that advances automatically.
-- @returns many
SELECT DISTINCT s.partition
  FROM sale s
 WHERE s.partition = ANY (:partitions)
   AND (EXISTS (SELECT FROM customer_order o
                 WHERE o.sale_id = s.sale_id AND o.status = 'created' AND o.hold_expires_at < :before)
        OR EXISTS (SELECT FROM customer_order o
                    WHERE o.sale_id = s.sale_id AND o.status = 'payment_requested' AND o.hold_expires_at < :before))
UNION
SELECT DISTINCT partition
  FROM delivery
 WHERE :automatic_delivery AND partition = ANY (:partitions) AND next_move_at < :before
