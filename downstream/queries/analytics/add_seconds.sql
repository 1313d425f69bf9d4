INSERT INTO analytics_second AS second (sale_id, at, accepted)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[])
ON CONFLICT (sale_id, at) DO UPDATE SET accepted = second.accepted + excluded.accepted;
