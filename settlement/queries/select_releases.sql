-- Returns units, settled changes and cancelled orders that Redis has not received: behind its watermark, in order.
-- Orders are joined by their id alone: with the status in the condition, a planner without statistics scans the whole
-- index by status for each row.
-- @returns many
-- @nullable change_id, order_id, customer_id
SELECT r.seq, r.sku, r.units, r.change_id, r.order_id,
       CASE WHEN o.status = 'cancelled' THEN o.customer_id END AS customer_id,
       (SELECT max_orders_per_customer IS NOT NULL FROM sale WHERE sale_id = :sale_id) AS limited
  FROM stock_release r
  LEFT JOIN customer_order o ON o.order_id = r.order_id
 WHERE r.sale_id = :sale_id AND r.seq > :watermark
 ORDER BY r.seq
 LIMIT :limit
