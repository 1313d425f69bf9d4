-- Units, settled changes and cancelled orders that Redis has not been told of: behind its watermark, in order.
-- Orders are joined by their id alone: with their status in the condition, a planner that has no statistics
-- yet reads the index by status whole, for each row.
SELECT r.seq, r.sku, r.units, r.change_id, r.order_id,
       CASE WHEN o.status = 'cancelled' THEN o.customer_id END AS customer_id,
       (SELECT max_orders_per_customer IS NOT NULL FROM sale WHERE sale_id = $1) AS limited
  FROM stock_release r
  LEFT JOIN customer_order o ON o.order_id = r.order_id
 WHERE r.sale_id = $1 AND r.seq > $2
 ORDER BY r.seq
 LIMIT $3
