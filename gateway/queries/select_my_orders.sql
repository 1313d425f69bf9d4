-- Returns a customer's orders in a sale, newest first, with sequences below the page's cursor.
-- @returns many
-- @row StoredOrder
SELECT o.*, NULL::jsonb AS history, NULL::jsonb AS notes
  FROM shown_order o
 WHERE o.sale_id = :sale_id AND o.customer_id = :customer_id AND o.sequence < :before_sequence
 ORDER BY o.sequence DESC
 LIMIT :limit;
