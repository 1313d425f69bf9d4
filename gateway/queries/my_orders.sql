-- A customer's orders in a sale, newest first, from below a sequence on (the page's cursor).
SELECT o.order_id, o.sequence, o.status, o.cancel_reason, o.subtotal, o.discount, o.delivery_fee, o.total, o.currency,
       o.hold_expires_at, o.accepted_at, o.updated_at,
       (SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'quantity', l.quantity, 'unit_price', l.unit_price)
                         ORDER BY l.line)
          FROM order_line l WHERE l.order_id = o.order_id) AS lines,
       NULL::jsonb AS history
  FROM customer_order o
 WHERE o.sale_id = $1 AND o.customer_id = $2 AND o.sequence < $3
 ORDER BY o.sequence DESC
 LIMIT $4;
