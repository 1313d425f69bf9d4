-- The epoch can sell. No row: a newer one has begun meanwhile.
UPDATE sale
   SET ready = true, was_ready = true, mark = $3, scripts = $4,
       version = version + 1, updated_at = now()
 WHERE sale_id = $1 AND epoch = $2 AND NOT ready
