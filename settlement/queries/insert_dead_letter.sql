-- Keeps a record that cannot be applied. Its units count as dead-lettered, once: not when an earlier
-- dead letter has the same sequences (the relay and the producer may both have written the record), nor
-- when an order stands under one of them (then they are held). Then there is nothing to decide either.
WITH known AS (
    SELECT EXISTS (SELECT FROM dead_letter
                    WHERE sale_id = $7 AND epoch = $8 AND headers ->> 'sequences' = $6::jsonb ->> 'sequences')
        OR EXISTS (SELECT FROM customer_order
                    WHERE sale_id = $7 AND sequence BETWEEN $12 AND $13) AS already
)
INSERT INTO dead_letter (topic, partition, log_offset, key, value, headers, sale_id, epoch, units, reason,
                         detail, settled_epoch, state)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN already THEN '{}'::jsonb ELSE $9 END, $10,
       $11, $14, CASE WHEN already THEN 'duplicate' ELSE 'undecided' END
  FROM known
RETURNING units
