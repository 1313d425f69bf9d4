-- Orders of a partition's sales for which something is due before $2, those first that have waited longest:
-- holds that ended unpaid, and, if $4, goods that go on by themselves.
SELECT * FROM standing_order
 WHERE order_id = ANY (ARRAY(
       SELECT due.order_id
         FROM (SELECT o.order_id, o.hold_expires_at AS due_at
                 FROM sale s
                CROSS JOIN (VALUES ('created'), ('payment_requested')) AS unpaid (status)
                CROSS JOIN LATERAL (SELECT order_id, hold_expires_at
                                      FROM customer_order
                                     WHERE sale_id = s.sale_id AND status = unpaid.status AND hold_expires_at < $2
                                     ORDER BY hold_expires_at
                                     LIMIT $3) o
                WHERE s.partition = $1
               UNION ALL
               (SELECT order_id, next_move_at
                  FROM delivery
                 WHERE $4 AND partition = $1 AND next_move_at < $2
                 ORDER BY next_move_at
                 LIMIT $3)) due
        ORDER BY due.due_at, due.order_id
        LIMIT $3))
