-- Returns one order with its history, including commands that had no effect. $3 is its customer; another customer's
-- order is not found. An operator (null) finds each.
SELECT o.*,
       (SELECT jsonb_agg(jsonb_build_object('status', e.status, 'at_ms', (extract(epoch FROM e.at) * 1000)::bigint,
                                            'reason', e.detail ->> 'reason') ORDER BY e.seq)
          FROM order_event e WHERE e.order_id = o.order_id) AS history,
       (SELECT jsonb_agg(jsonb_build_object('command', n.command, 'result', n.result,
                                            'order_status', n.detail ->> 'status', 'at', api_time(n.at))
                         ORDER BY n.log_offset)
          FROM order_note n WHERE n.order_id = o.order_id) AS notes
  FROM shown_order o
 WHERE o.order_id = $1 AND o.sale_id = $2 AND ($3::text IS NULL OR o.customer_id = $3);
