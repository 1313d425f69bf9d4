-- Returns a customer's wallet with its newest entries; of several, the one that changed last.
-- @returns optional
-- @nullable in_currency
-- @type in_currency = contract::money::Currency
-- @type entries = crate::read::stored_json::StoredJson
SELECT w.currency, w.balance,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('amount', e.amount, 'reason', e.reason, 'order_id', e.order_id,
                                                     'at', api_time(e.at)) ORDER BY e.entry_id DESC), '[]')
          FROM (SELECT * FROM wallet_entry
                 WHERE customer_id = w.customer_id AND currency = w.currency
                 ORDER BY entry_id DESC
                 LIMIT :entries_max) e) AS entries
  FROM wallet w
 WHERE w.customer_id = :customer_id AND (:in_currency::text IS NULL OR w.currency = :in_currency)
 ORDER BY w.updated_at DESC
 LIMIT 1;
