-- Returns what Redis must have had when it was read, in epoch :epoch, with next sequence :next_sequence and release
-- watermark :watermark, if everything below the log's offset :log_offset is settled: what is free now, plus what was
-- taken since that read, minus what has returned that Redis had not received by then. No row: the epoch has ended, or
-- the log is not settled that far. Orders and dead letters of other epochs were never taken from this epoch's stock.
-- `unclear`: since that read a total has changed or a dead letter was decided, which moves units in ways that are not
-- distinguished here.
-- @returns many
WITH here AS (
    SELECT s.sale_id
      FROM sale s JOIN log_position p ON p.topic = :topic AND p.partition = s.partition
     WHERE s.sale_id = :sale_id AND s.epoch = :epoch AND s.ready AND p.next_offset >= :log_offset
), taken AS (
    SELECT sku, sum(quantity)::bigint AS units
      FROM order_line
     WHERE order_id = ANY (ARRAY(SELECT order_id FROM customer_order
                                  WHERE sale_id = :sale_id AND sequence >= :next_sequence AND epoch = :epoch))
     GROUP BY sku
), letters AS (
    SELECT units, state
      FROM dead_letter
     WHERE sale_id = :sale_id AND epoch = :epoch AND units <> '{}'
       AND CASE WHEN headers ->> 'sequences' ~ '^[0-9]{1,18}[+]'
                THEN split_part(headers ->> 'sequences', '+', 1)::bigint >= :next_sequence END
), dead_lettered AS (
    SELECT sku, sum(units.n::bigint)::bigint AS units
      FROM letters CROSS JOIN LATERAL jsonb_each_text(letters.units) AS units (sku, n)
     GROUP BY sku
), returned AS (
    SELECT sku, sum(units)::bigint AS units
      FROM stock_release WHERE sale_id = :sale_id AND seq > :watermark
     GROUP BY sku
), unclear AS (
    SELECT EXISTS (SELECT FROM stock_release WHERE sale_id = :sale_id AND seq > :watermark AND change_id IS NOT NULL)
        OR EXISTS (SELECT FROM letters WHERE state <> 'undecided') AS is_unclear
)
SELECT item.sku,
       item.total - item.held - item.sold - item.dead_lettered
           + coalesce(taken.units, 0) + coalesce(dead_lettered.units, 0) - coalesce(returned.units, 0) AS expected,
       unclear.is_unclear
  FROM here
  JOIN sale_item AS item USING (sale_id)
 CROSS JOIN unclear
  LEFT JOIN taken USING (sku)
  LEFT JOIN dead_lettered USING (sku)
  LEFT JOIN returned USING (sku)
 WHERE item.offered AND item.total IS NOT NULL
