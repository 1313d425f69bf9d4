-- A customer's wallets with their newest entries, the one first that moved last.
SELECT w.currency, w.balance,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('amount', e.amount, 'reason', e.reason, 'order_id', e.order_id,
                                                     'at', api_time(e.at)) ORDER BY e.entry_id DESC), '[]')
          FROM (SELECT * FROM wallet_entry
                 WHERE customer_id = w.customer_id AND currency = w.currency
                 ORDER BY entry_id DESC
                 LIMIT $3) e) AS entries
  FROM wallet w
 WHERE w.customer_id = $1 AND ($2::text IS NULL OR w.currency = $2)
 ORDER BY w.updated_at DESC
 LIMIT 1;
