-- How far the goods of orders have come.
INSERT INTO delivery AS d (
    delivery_id, order_id, sale_id, kind, status, tracking_number, courier, started_at, shipped_at, completed_at,
    estimated_arrival, last_status_message, next_move_at, partition, updated_at)
SELECT *, $14::integer, $15::timestamptz
  FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
              $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::text[],
              $13::timestamptz[])
ON CONFLICT (order_id) DO UPDATE
   SET status = excluded.status, shipped_at = excluded.shipped_at, completed_at = excluded.completed_at,
       estimated_arrival = excluded.estimated_arrival, last_status_message = excluded.last_status_message,
       next_move_at = excluded.next_move_at, updated_at = excluded.updated_at
