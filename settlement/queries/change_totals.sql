-- Applies a change of totals, once per change. Totals are absolute. Units that a raise adds reach Redis as a
-- release; each item of the change gives a row of stock_release, with 0 units where nothing returns, so that Redis
-- also learns that the change is settled. Raised units must not be sold before this is committed, and lowered ones
-- were taken out of Redis before the change was recorded, so never_oversold refuses only what must not happen.
-- Columns: whether the change is new; the items found; those of them that have a total.
-- @returns one
-- @type items = tokio_postgres::types::Json<&'a Vec<contract::record::NewTotal>>
WITH change AS (
    INSERT INTO stock_change (change_id, sale_id, items, at)
    VALUES (:change_id, :sale_id, :items, now())
    ON CONFLICT (change_id) DO NOTHING
    RETURNING change_id
), wanted AS (
    SELECT * FROM unnest(:skus::text[], :totals::bigint[]) WITH ORDINALITY AS new (sku, total, place)
), before AS (
    SELECT item.sku, item.total, wanted.total AS new_total, wanted.place
      FROM sale_item AS item JOIN wanted USING (sku)
     WHERE item.sale_id = :sale_id
       FOR UPDATE OF item
), changed AS (
    UPDATE sale_item AS item
       SET total = before.new_total
      FROM before, change
     WHERE item.sale_id = :sale_id AND item.sku = before.sku
), released AS (
    INSERT INTO stock_release (partition, seq, sale_id, sku, units, change_id, at)
    SELECT :partition, :first_seq::bigint + before.place - 1, :sale_id, before.sku,
           greatest(before.new_total - before.total, 0), change.change_id, now()
      FROM before, change
), published AS (
    UPDATE sale SET version = version + 1, updated_at = now()
      FROM change WHERE sale.sale_id = :sale_id
)
SELECT EXISTS (SELECT FROM change) AS is_new,
       (SELECT count(*) FROM before) AS found,
       (SELECT count(total) FROM before) AS limited
