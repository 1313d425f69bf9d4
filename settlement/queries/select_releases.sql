-- Units and settled changes that Redis has not been given yet: behind its watermark, in order.
SELECT seq, sku, units, change_id
  FROM stock_release
 WHERE sale_id = $1 AND seq > $2
 ORDER BY seq
 LIMIT $3
