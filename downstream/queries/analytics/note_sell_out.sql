-- When the units of item $2 of sale $1 that were held or sold first reached $3: taken by each order when it
-- was created, given back when it was cancelled.
INSERT INTO analytics_sell_out (sale_id, sku, sold_out_at)
SELECT $1, $2, moved.at
  FROM (SELECT event.at, event.partition, event.seq,
               sum(CASE event.status WHEN 'created' THEN line.quantity ELSE -line.quantity END)
                   OVER (ORDER BY event.partition, event.seq) AS taken
          FROM customer_order
          JOIN order_line AS line USING (order_id)
          JOIN order_event AS event USING (order_id)
         WHERE customer_order.sale_id = $1 AND line.sku = $2 AND event.status IN ('created', 'cancelled')) AS moved
 WHERE moved.taken >= $3::bigint
 ORDER BY moved.partition, moved.seq
 LIMIT 1
ON CONFLICT DO NOTHING;
