-- Stores a record that cannot be applied. Its units count as dead-lettered once: not when an earlier dead letter has
-- the same sequences (the relay and the producer may both have written the record), nor when an order exists under
-- one of them (its units are held). In both cases there is nothing to decide.
-- @returns one
-- @nullable key, value, sale_id, epoch, settled_epoch
-- @type letter_units = tokio_postgres::types::Json<&'a std::collections::BTreeMap<&'a str, i64>>
-- @type headers = tokio_postgres::types::Json<&'a std::collections::BTreeMap<&'a String, &'a Option<String>>>
WITH known AS (
    SELECT EXISTS (SELECT FROM dead_letter
                    WHERE sale_id = :sale_id AND epoch = :epoch AND headers ->> 'sequences' = :headers::jsonb ->> 'sequences')
        OR EXISTS (SELECT FROM customer_order
                    WHERE sale_id = :sale_id AND sequence BETWEEN :first_sequence AND :last_sequence) AS already
)
INSERT INTO dead_letter (topic, partition, log_offset, key, value, headers, sale_id, epoch, units, reason,
                         detail, settled_epoch, state)
SELECT :topic, :partition, :log_offset, :key, :value, :headers, :sale_id, :epoch, CASE WHEN already THEN '{}'::jsonb ELSE :letter_units END, :reason,
       :detail, :settled_epoch, CASE WHEN already THEN 'duplicate' ELSE 'undecided' END
  FROM known
RETURNING units
