-- Orders that commands name, as they stand.
SELECT o.order_id, o.sale_id, o.customer_id, o.status, o.hold_expires_at, l.skus, l.quantities
  FROM customer_order o
 CROSS JOIN LATERAL (SELECT array_agg(sku) AS skus, array_agg(quantity) AS quantities
                       FROM order_line WHERE order_id = o.order_id) l
 WHERE o.order_id = ANY ($1)
