-- Records when the held and sold units of an item first reached :units: each order takes units when it is created and
-- returns them when it is cancelled.
INSERT INTO analytics_sell_out (sale_id, sku, sold_out_at)
SELECT :sale_id, :sku, moved.at
  FROM (SELECT event.at, event.partition, event.seq,
               sum(CASE event.status WHEN 'created' THEN line.quantity ELSE -line.quantity END)
                   OVER (ORDER BY event.partition, event.seq) AS taken
          FROM customer_order
          JOIN order_line AS line USING (order_id)
          JOIN order_event AS event USING (order_id)
         WHERE customer_order.sale_id = :sale_id AND line.sku = :sku AND event.status IN ('created', 'cancelled')) AS moved
 WHERE moved.taken >= :units::bigint
 ORDER BY moved.partition, moved.seq
 LIMIT 1
ON CONFLICT DO NOTHING;
