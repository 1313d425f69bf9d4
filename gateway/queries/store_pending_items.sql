-- Stores changed items beside the present ones and requests the rebuild that puts them into effect. The new epoch
-- invalidates the old state in Redis.
-- @type items = tokio_postgres::types::Json<&'a [contract::sale::Item]>
UPDATE sale
   SET pending_items = :items, epoch = epoch + 1, ready = false, rebuild_requested = true,
       rebuild_reason = 'items', rebuild_since = now()
 WHERE sale_id = :sale_id;
