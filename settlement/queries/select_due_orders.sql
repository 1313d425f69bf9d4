-- Orders of a partition's sales whose hold ended unpaid before $2, those first that have waited longest.
SELECT o.order_id, o.sale_id, o.customer_id, o.status, o.hold_expires_at, l.skus, l.quantities
  FROM sale s
 CROSS JOIN LATERAL (SELECT order_id, sale_id, customer_id, status, hold_expires_at
                       FROM customer_order
                      WHERE sale_id = s.sale_id AND status = 'created' AND hold_expires_at < $2
                      ORDER BY hold_expires_at
                      LIMIT $3) o
 CROSS JOIN LATERAL (SELECT array_agg(sku) AS skus, array_agg(quantity) AS quantities
                       FROM order_line WHERE order_id = o.order_id) l
 WHERE s.partition = $1
 ORDER BY o.hold_expires_at, o.order_id
 LIMIT $3
