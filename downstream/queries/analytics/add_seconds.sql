-- Adds accepted orders to the seconds in which they were accepted.
-- @columns SecondCounts
INSERT INTO analytics_second AS second (sale_id, at, accepted)
SELECT * FROM unnest(:sale_id::text[], :at::timestamptz[], :accepted::bigint[])
ON CONFLICT (sale_id, at) DO UPDATE SET accepted = second.accepted + excluded.accepted;
