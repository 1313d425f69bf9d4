-- A topic that is created again gives its offsets to other records: a dead letter is identified by its generation, too.
ALTER TABLE dead_letter ADD COLUMN generation integer NOT NULL DEFAULT 0;
ALTER TABLE dead_letter DROP CONSTRAINT dead_letter_topic_partition_log_offset_key;
ALTER TABLE dead_letter ADD CONSTRAINT dead_letter_by_offset UNIQUE (topic, partition, log_offset, generation);

-- Whether a record has become a dead letter before is looked up for each new one.
CREATE INDEX dead_letter_by_epoch ON dead_letter (sale_id, epoch);
