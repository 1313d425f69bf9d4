-- Returns what the operator's overview needs of Postgres, at one moment, in one row. Nothing here grows with the number
-- of orders: each settled order has advanced `next_sequence` by one, as have the orders of records that were set aside
-- (`settled_epoch` is null where they did not count).
-- @returns one
-- @type positions = crate::read::stored_json::StoredJson
-- @type sales = crate::read::stored_json::StoredJson
WITH open_letter AS (
    SELECT sale_id, state, reason, settled_epoch,
           (regexp_match(headers ->> 'sequences', '^\d{1,18}\+(\d{1,9})$'))[1]::bigint AS orders
      FROM dead_letter
     WHERE state IN ('undecided', 'discarded')
)
SELECT (SELECT coalesce(jsonb_agg(jsonb_build_array(partition, next_offset)), '[]')
          FROM log_position WHERE topic = :topic) AS positions,
       (SELECT count(*) FROM open_letter WHERE state = 'undecided') AS undecided,
       (SELECT count(*) FROM open_letter WHERE state = 'undecided' AND reason = 'guard_trip') AS guard_trips,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'sale_id', s.sale_id, 'title', s.title, 'state', s.state, 'partition', s.partition,
                   'epoch', s.epoch, 'ready', s.ready,
                   'orders_settled', s.next_sequence - 1 - (
                       SELECT coalesce(sum(letter.orders), 0) FROM open_letter AS letter
                        WHERE letter.sale_id = s.sale_id AND letter.settled_epoch IS NOT NULL),
                   'items', (
                       SELECT coalesce(jsonb_agg(jsonb_build_object(
                                  'sku', i.sku, 'name', i.name, 'total', i.total, 'held', i.held, 'sold', i.sold,
                                  'dead_lettered', i.dead_lettered) ORDER BY i.offered DESC, i.position), '[]')
                         FROM sale_item i
                        WHERE i.sale_id = s.sale_id AND (i.offered OR i.held + i.sold > 0)))
                   ORDER BY s.sale_id), '[]')
          FROM sale s) AS sales;
