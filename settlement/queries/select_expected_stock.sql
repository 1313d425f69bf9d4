-- What Redis must have had when it was looked at, in epoch $2, with next sequence $3 and release watermark $4,
-- if everything below the log's offset $5 is settled: what is free now, plus what was taken since the look,
-- minus what has come back that Redis had not been given by then. No row: the epoch has ended, or the log is
-- not settled so far. Orders and dead letters of other epochs were never taken from this one's stock.
-- `unclear`: since the look a total has changed or a dead letter was decided, which moves units in ways that
-- are not told apart here.
WITH here AS (
    SELECT s.sale_id
      FROM sale s JOIN log_position p ON p.topic = $6 AND p.partition = s.partition
     WHERE s.sale_id = $1 AND s.epoch = $2 AND s.ready AND p.next_offset >= $5
), taken AS (
    SELECT sku, sum(quantity)::bigint AS units
      FROM order_line
     WHERE order_id = ANY (ARRAY(SELECT order_id FROM customer_order
                                  WHERE sale_id = $1 AND sequence >= $3 AND epoch = $2))
     GROUP BY sku
), letters AS (
    SELECT units, state
      FROM dead_letter
     WHERE sale_id = $1 AND epoch = $2 AND units <> '{}'
       AND CASE WHEN headers ->> 'sequences' ~ '^[0-9]{1,18}[+]'
                THEN split_part(headers ->> 'sequences', '+', 1)::bigint >= $3 END
), buried AS (
    SELECT sku, sum(units.n::bigint)::bigint AS units
      FROM letters CROSS JOIN LATERAL jsonb_each_text(letters.units) AS units (sku, n)
     GROUP BY sku
), returned AS (
    SELECT sku, sum(units)::bigint AS units
      FROM stock_release WHERE sale_id = $1 AND seq > $4
     GROUP BY sku
), unclear AS (
    SELECT EXISTS (SELECT FROM stock_release WHERE sale_id = $1 AND seq > $4 AND change_id IS NOT NULL)
        OR EXISTS (SELECT FROM letters WHERE state <> 'undecided') AS is
)
SELECT item.sku,
       item.total - item.held - item.sold - item.dead_lettered
           + coalesce(taken.units, 0) + coalesce(buried.units, 0) - coalesce(returned.units, 0) AS expected,
       unclear.is
  FROM here
  JOIN sale_item AS item USING (sale_id)
 CROSS JOIN unclear
  LEFT JOIN taken USING (sku)
  LEFT JOIN buried USING (sku)
  LEFT JOIN returned USING (sku)
 WHERE item.offered AND item.total IS NOT NULL
