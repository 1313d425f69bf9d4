-- Applies a change of totals, once per change. Totals are absolute. Units that a raise adds come to
-- Redis as a release; every item of the change gives a row of stock_release, with 0 units where
-- nothing comes back, so that Redis also learns that the change is settled. Raised units must not be
-- sold before this is committed, and lowered ones were taken out of Redis before it was recorded: so
-- never_oversold can only refuse what must not be.
-- Columns: whether the change is new; items found; items of them that have a total.
WITH change AS (
    INSERT INTO stock_change (change_id, sale_id, items, at)
    VALUES ($1, $2, $3, now())
    ON CONFLICT (change_id) DO NOTHING
    RETURNING change_id
), wanted AS (
    SELECT * FROM unnest($4::text[], $5::bigint[]) WITH ORDINALITY AS new (sku, total, place)
), before AS (
    SELECT item.sku, item.total, wanted.total AS new_total, wanted.place
      FROM sale_item AS item JOIN wanted USING (sku)
     WHERE item.sale_id = $2
       FOR UPDATE OF item
), changed AS (
    UPDATE sale_item AS item
       SET total = before.new_total
      FROM before, change
     WHERE item.sale_id = $2 AND item.sku = before.sku
), released AS (
    INSERT INTO stock_release (partition, seq, sale_id, sku, units, change_id, at)
    SELECT $6, $7::bigint + before.place - 1, $2, before.sku,
           greatest(before.new_total - before.total, 0), change.change_id, now()
      FROM before, change
), published AS (
    UPDATE sale SET version = version + 1, updated_at = now()
      FROM change WHERE sale.sale_id = $2
)
SELECT EXISTS (SELECT FROM change),
       (SELECT count(*) FROM before),
       (SELECT count(total) FROM before)
