-- Stores a record that cannot be applied. Its units count as dead-lettered once: not when an earlier dead letter has
-- the same content (the relay and the producer may both have written the record), nor when all its orders exist
-- (their units are held). In both cases there is nothing to decide. The orders of a record that cannot be decoded are known
-- by their sequences only.
-- A position may be set back: the same record at the same offset is not stored again. Another record at the same offset
-- belongs to a topic that was created again.
-- @returns one
-- @nullable key, value, sale_id, epoch, settled_epoch
-- @type letter_units = tokio_postgres::types::Json<&'a std::collections::BTreeMap<&'a str, i64>>
-- @type headers = tokio_postgres::types::Json<&'a std::collections::BTreeMap<&'a String, &'a Option<String>>>
WITH present AS (
    SELECT letter.generation,
           (letter.key IS NOT DISTINCT FROM :key AND letter.value IS NOT DISTINCT FROM :value) AS same
      FROM dead_letter AS letter
     WHERE letter.topic = :topic AND letter.partition = :partition AND letter.log_offset = :log_offset
), known AS (
    SELECT EXISTS (SELECT FROM dead_letter
                    WHERE sale_id = :sale_id AND epoch = :epoch AND value = :value
                      AND headers ->> 'sequences' = :headers::jsonb ->> 'sequences')
        OR CASE WHEN cardinality(:order_ids::uuid[]) = 0
                THEN EXISTS (SELECT FROM customer_order
                              WHERE sale_id = :sale_id AND sequence BETWEEN :first_sequence AND :last_sequence)
                ELSE NOT EXISTS (SELECT FROM unnest(:order_ids) AS own (id)
                                  WHERE NOT EXISTS (SELECT FROM customer_order WHERE order_id = own.id))
           END AS already
), inserted AS (
    INSERT INTO dead_letter (topic, partition, log_offset, key, value, headers, sale_id, epoch, units, reason,
                             detail, settled_epoch, state, generation)
    SELECT :topic, :partition, :log_offset, :key, :value, :headers, :sale_id, :epoch, CASE WHEN already THEN '{}'::jsonb ELSE :letter_units END, :reason,
           :detail, :settled_epoch, CASE WHEN already THEN 'duplicate' ELSE 'undecided' END,
           (SELECT coalesce(max(generation) + 1, 0) FROM present)
      FROM known
     WHERE NOT EXISTS (SELECT FROM present WHERE same)
    RETURNING units
)
SELECT units FROM inserted
 UNION ALL
SELECT '{}'::jsonb WHERE NOT EXISTS (SELECT FROM inserted)
