-- Returns a customer's orders in a sale, newest first, with sequences below the page's cursor.
-- @returns many
-- @type status = contract::lifecycle::OrderStatus
-- @type lines = crate::read::stored_json::StoredJson
-- @type payment = crate::read::stored_json::StoredJson
-- @type delivery = crate::read::stored_json::StoredJson
-- @type history = crate::read::stored_json::StoredJson
-- @type notes = crate::read::stored_json::StoredJson
-- @row StoredOrder
-- @nullable customer_email, cancel_reason, lines, payment, delivery, history, notes
SELECT o.*, NULL::jsonb AS history, NULL::jsonb AS notes
  FROM shown_order o
 WHERE o.sale_id = :sale_id AND o.customer_id = :customer_id AND o.sequence < :before_sequence
 ORDER BY o.sequence DESC
 LIMIT :limit;
