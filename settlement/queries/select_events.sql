-- The next events of a partition, with what the topics tell of their orders. A sequence has one writer
-- and is committed in order, so nothing can appear behind the cursor later.
SELECT e.seq, e.order_id, e.status, e.at,
       o.customer_id, o.sale_id, o.sequence, o.subtotal, o.discount, o.delivery_fee, o.total, o.currency,
       l.skus, l.quantities, o.cancel_reason
  FROM order_event e
  JOIN customer_order o ON o.order_id = e.order_id
 CROSS JOIN LATERAL (SELECT array_agg(sku) AS skus, array_agg(quantity) AS quantities
                       FROM order_line WHERE order_id = e.order_id) l
 WHERE e.partition = $1 AND e.seq >= $2
 ORDER BY e.seq
 LIMIT $3
