-- Returns orders of a partition's sales for which something is due before :before, the longest overdue first: holds
-- that ended unpaid and, if :automatic_delivery, deliveries that advance automatically.
-- @returns many
-- @row StoredOrder
SELECT * FROM standing_order
 WHERE order_id = ANY (ARRAY(
       SELECT due.order_id
         FROM (SELECT o.order_id, o.hold_expires_at AS due_at
                 FROM sale s
                CROSS JOIN (VALUES ('created'), ('payment_requested')) AS unpaid (status)
                CROSS JOIN LATERAL (SELECT order_id, hold_expires_at
                                      FROM customer_order
                                     WHERE sale_id = s.sale_id AND status = unpaid.status AND hold_expires_at < :before
                                     ORDER BY hold_expires_at
                                     LIMIT :limit) o
                WHERE s.partition = :partition
               UNION ALL
               (SELECT order_id, next_move_at
                  FROM delivery
                 WHERE :automatic_delivery AND partition = :partition AND next_move_at < :before
                 ORDER BY next_move_at
                 LIMIT :limit)) due
        ORDER BY due.due_at, due.order_id
        LIMIT :limit))
