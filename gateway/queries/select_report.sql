-- Returns the results of a sale's orders, as analytics has counted them. No row: the sale does not exist.
-- @returns optional
-- @type report = crate::read::stored_json::StoredJson
SELECT jsonb_build_object(
    'sale_id', sale.sale_id, 'title', sale.title, 'state', sale.state, 'currency', sale.currency,
    'opens_at', api_time(sale.opens_at), 'closes_at', api_time(sale.closes_at),
    'counted_at', api_time(counted.updated_at),
    'funnel', jsonb_build_object(
        'accepted', coalesce(counted.accepted, 0),
        'payment_requested', coalesce(counted.payment_requested, 0),
        'paid', coalesce(counted.paid, 0),
        'payment_failed', coalesce(counted.payment_failed, 0),
        'expired', coalesce(counted.expired, 0),
        'cancelled', coalesce(counted.cancelled, 0),
        'shipped', coalesce(counted.shipped, 0),
        'delivered', coalesce(counted.delivered, 0),
        'refund_requested', coalesce(counted.refund_requested, 0),
        'refunded', coalesce(counted.refunded, 0)),
    'revenue', jsonb_build_object(
        'captured', coalesce(counted.captured, 0),
        'returned', coalesce(counted.returned, 0),
        'net', coalesce(counted.captured - counted.returned, 0)),
    'first_order_at', api_time(counted.first_order_at),
    'last_order_at', api_time(counted.last_order_at),
    'sell_out', jsonb_build_object(
        -- When the last of all limited items was gone; null: something is, or was always, left.
        'sold_out_at', api_time(gone.at),
        'seconds', extract(epoch FROM gone.at - counted.first_order_at)::float8,
        'items', gone.items),
    'orders_per_second', jsonb_build_object(
        'peak', coalesce(pace.peak, 0),
        'average', coalesce(counted.accepted / greatest(1, ceil(extract(epoch FROM
                       counted.last_order_at - counted.first_order_at))), 0)::float8,
        'seconds', coalesce(pace.seconds, '[]')),
    'deliveries', coalesce(hours.hours, '[]')) AS report
  FROM sale
  LEFT JOIN analytics_sale AS counted USING (sale_id)
 CROSS JOIN LATERAL (
       SELECT CASE WHEN bool_and(noted.sold_out_at IS NOT NULL) THEN max(noted.sold_out_at) END AS at,
              coalesce(jsonb_agg(jsonb_build_object(
                  'sku', item.sku, 'total', item.total, 'sold_out_at', api_time(noted.sold_out_at),
                  'seconds', extract(epoch FROM noted.sold_out_at - counted.first_order_at)::float8)
                  ORDER BY item.position), '[]') AS items
         FROM sale_item AS item
         LEFT JOIN analytics_sell_out AS noted USING (sale_id, sku)
        WHERE item.sale_id = sale.sale_id AND item.offered AND item.total IS NOT NULL) AS gone
 CROSS JOIN LATERAL (
       SELECT max(accepted) AS peak,
              -- The newest ten minutes in which something was ordered.
              (SELECT jsonb_agg(jsonb_build_object('at', api_time(newest.at), 'accepted', newest.accepted)
                                ORDER BY newest.at)
                 FROM (SELECT * FROM analytics_second AS one WHERE one.sale_id = sale.sale_id
                        ORDER BY one.at DESC LIMIT 600) AS newest) AS seconds
         FROM analytics_second AS every WHERE every.sale_id = sale.sale_id) AS pace
 CROSS JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object(
                  'hour', api_time(newest.at), 'shipped', newest.shipped, 'delivered', newest.delivered,
                  'preparation_seconds', newest.preparation_ms / nullif(newest.shipped, 0)::float8 / 1000,
                  'delivery_seconds', newest.delivery_ms / nullif(newest.on_the_way, 0)::float8 / 1000)
                  ORDER BY newest.at) AS hours
         FROM (SELECT * FROM analytics_hour AS one WHERE one.sale_id = sale.sale_id
                ORDER BY one.at DESC LIMIT 168) AS newest) AS hours
 WHERE sale.sale_id = :sale_id;
