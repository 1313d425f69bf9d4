-- One order of one customer, with its lines and history. Another customer's order is not found.
SELECT o.order_id, o.sequence, o.status, o.cancel_reason, o.subtotal, o.discount, o.delivery_fee, o.total, o.currency,
       o.hold_expires_at, o.accepted_at, o.updated_at,
       (SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'quantity', l.quantity, 'unit_price', l.unit_price)
                         ORDER BY l.line)
          FROM order_line l WHERE l.order_id = o.order_id) AS lines,
       (SELECT jsonb_agg(jsonb_build_object('status', e.status, 'at_ms', (extract(epoch FROM e.at) * 1000)::bigint)
                         ORDER BY e.seq)
          FROM order_event e WHERE e.order_id = o.order_id) AS history
  FROM customer_order o
 WHERE o.order_id = $1 AND o.sale_id = $2 AND o.customer_id = $3;
