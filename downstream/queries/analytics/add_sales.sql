INSERT INTO analytics_sale AS sale
       (sale_id, currency, accepted, payment_requested, paid, payment_failed, expired, cancelled, shipped,
        delivered, refund_requested, refunded, captured, returned, first_order_at, last_order_at, updated_at)
SELECT batch.*, now()
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
              $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
              $14::bigint[], $15::timestamptz[], $16::timestamptz[]) AS batch
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
