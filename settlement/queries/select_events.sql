-- Returns the next events of a partition, with the published attributes of their orders. A sequence has one writer and
-- is committed in order, so no event can appear behind the cursor later.
-- @returns many
-- @nullable cancel_reason
-- @type status = contract::lifecycle::OrderStatus
-- @type skus = contract::ids::Sku
SELECT e.seq, e.order_id, e.status, e.at,
       o.customer_id, o.sale_id, o.sequence, o.subtotal, o.discount, o.delivery_fee, o.total, o.currency,
       l.skus, l.quantities, o.cancel_reason
  FROM order_event e
  JOIN customer_order o ON o.order_id = e.order_id
 CROSS JOIN LATERAL (SELECT array_agg(sku) AS skus, array_agg(quantity) AS quantities
                       FROM order_line WHERE order_id = e.order_id) l
 WHERE e.partition = :partition AND e.seq >= :from_seq
 ORDER BY e.seq
 LIMIT :limit
