-- Returns a sale's orders, newest first, with sequences below the page's cursor: a customer's, those in a status, or
-- all.
-- @returns many
-- @type in_status = contract::lifecycle::OrderStatus
-- @row StoredOrder
-- @nullable customer, in_status
SELECT o.*, NULL::jsonb AS history, NULL::jsonb AS notes
  FROM shown_order o
 WHERE o.sale_id = :sale_id
   AND (:customer::text IS NULL OR o.customer_id = :customer)
   AND (:in_status::text IS NULL OR o.status = :in_status)
   AND o.sequence < :before_sequence
 ORDER BY o.sequence DESC
 LIMIT :limit;
