INSERT INTO analytics_order (order_id, sale_id, seen, paid_at, shipped_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[])
ON CONFLICT (order_id) DO UPDATE
   SET seen = excluded.seen, paid_at = excluded.paid_at, shipped_at = excluded.shipped_at;
