-- One order with its history: what happened to it, and what was asked for in vain. $3: its customer; another
-- customer's order is not found. An operator (null) finds each.
SELECT o.*,
       (SELECT jsonb_agg(entry ORDER BY at, place)
          FROM (SELECT e.at, e.seq AS place,
                       jsonb_build_object('status', e.status, 'at_ms', (extract(epoch FROM e.at) * 1000)::bigint,
                                          'reason', e.detail ->> 'reason') AS entry
                  FROM order_event e WHERE e.order_id = o.order_id
                UNION ALL
                SELECT n.at, 9223372036854775807,
                       jsonb_build_object('status', n.detail ->> 'status',
                                          'at_ms', (extract(epoch FROM n.at) * 1000)::bigint,
                                          'command', n.command, 'result', n.result)
                  FROM order_note n WHERE n.order_id = o.order_id) entries) AS history
  FROM shown_order o
 WHERE o.order_id = $1 AND o.sale_id = $2 AND ($3::text IS NULL OR o.customer_id = $3);
