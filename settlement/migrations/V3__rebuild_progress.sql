-- Rebuilds, as operators see them and as settlers keep out of each other's way. All of it is written by the
-- attempt itself, without a new version: gateways need not hear of it.
ALTER TABLE sale
    ADD COLUMN rebuild_reason         text,        -- why the rebuild that is due or under way is needed
    ADD COLUMN rebuild_since          timestamptz, -- since when it is
    ADD COLUMN rebuild_step           text,        -- where the attempt is; null: none has begun
    ADD COLUMN rebuild_orders_written bigint,      -- orders that it has written into Redis so far
    ADD COLUMN rebuild_by             uuid,        -- the settler whose attempt it is …
    ADD COLUMN rebuild_seen_at        timestamptz; -- … and when it last showed that it lives
