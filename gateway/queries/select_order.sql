-- Returns one order with its history, including commands that had no effect. Another customer's order is not found; an
-- operator (:customer is null) finds each.
-- @returns optional
-- @type status = contract::lifecycle::OrderStatus
-- @type lines = crate::read::stored_json::StoredJson
-- @type payment = crate::read::stored_json::StoredJson
-- @type delivery = crate::read::stored_json::StoredJson
-- @type history = crate::read::stored_json::StoredJson
-- @type notes = crate::read::stored_json::StoredJson
-- @type customer = &'a contract::ids::CustomerId
-- @row StoredOrder
-- @nullable customer_email, cancel_reason, lines, payment, delivery, history, notes, customer
SELECT o.*,
       (SELECT jsonb_agg(jsonb_build_object('status', e.status, 'at_ms', (extract(epoch FROM e.at) * 1000)::bigint,
                                            'reason', e.detail ->> 'reason') ORDER BY e.seq)
          FROM order_event e WHERE e.order_id = o.order_id) AS history,
       (SELECT jsonb_agg(jsonb_build_object('command', n.command, 'result', n.result,
                                            'order_status', n.detail ->> 'status', 'at', api_time(n.at))
                         ORDER BY n.log_offset)
          FROM order_note n WHERE n.order_id = o.order_id) AS notes
  FROM shown_order o
 WHERE o.order_id = :order_id AND o.sale_id = :sale_id AND (:customer::text IS NULL OR o.customer_id = :customer);
