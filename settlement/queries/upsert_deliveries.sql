-- Stores how far the deliveries of orders have advanced.
-- @columns DeliveryColumns
-- @nullable tracking_number[], courier[], shipped_at[], completed_at[], estimated_arrival[], last_status_message[], next_move_at[]
INSERT INTO delivery AS d (
    delivery_id, order_id, sale_id, kind, status, tracking_number, courier, started_at, shipped_at, completed_at,
    estimated_arrival, last_status_message, next_move_at, partition, updated_at)
SELECT *, :partition::integer, :updated_at::timestamptz
  FROM unnest(:delivery_id::uuid[], :order_id::uuid[], :sale_id::text[], :kind::text[], :status::text[], :tracking_number::text[], :courier::text[],
              :started_at::timestamptz[], :shipped_at::timestamptz[], :completed_at::timestamptz[], :estimated_arrival::timestamptz[], :last_status_message::text[],
              :next_move_at::timestamptz[])
ON CONFLICT (order_id) DO UPDATE
   SET status = excluded.status, shipped_at = excluded.shipped_at, completed_at = excluded.completed_at,
       estimated_arrival = excluded.estimated_arrival, last_status_message = excluded.last_status_message,
       next_move_at = excluded.next_move_at, updated_at = excluded.updated_at
