-- Adds the counts of a batch to its sales.
-- @columns SaleCounts
-- @nullable first_order_at[], last_order_at[]
INSERT INTO analytics_sale AS sale
       (sale_id, currency, accepted, payment_requested, paid, payment_failed, expired, cancelled, shipped,
        delivered, refund_requested, refunded, captured, returned, first_order_at, last_order_at, updated_at)
SELECT batch.*, now()
  FROM unnest(:sale_id::text[], :currency::text[], :accepted::bigint[], :payment_requested::bigint[], :paid::bigint[], :payment_failed::bigint[], :expired::bigint[],
              :cancelled::bigint[], :shipped::bigint[], :delivered::bigint[], :refund_requested::bigint[], :refunded::bigint[], :captured::bigint[],
              :returned::bigint[], :first_order_at::timestamptz[], :last_order_at::timestamptz[]) AS batch
ON CONFLICT (sale_id) DO UPDATE
   SET accepted          = sale.accepted + excluded.accepted,
       payment_requested = sale.payment_requested + excluded.payment_requested,
       paid              = sale.paid + excluded.paid,
       payment_failed    = sale.payment_failed + excluded.payment_failed,
       expired           = sale.expired + excluded.expired,
       cancelled         = sale.cancelled + excluded.cancelled,
       shipped           = sale.shipped + excluded.shipped,
       delivered         = sale.delivered + excluded.delivered,
       refund_requested  = sale.refund_requested + excluded.refund_requested,
       refunded          = sale.refunded + excluded.refunded,
       captured          = sale.captured + excluded.captured,
       returned          = sale.returned + excluded.returned,
       first_order_at    = least(sale.first_order_at, excluded.first_order_at),
       last_order_at     = greatest(sale.last_order_at, excluded.last_order_at),
       updated_at        = excluded.updated_at;
