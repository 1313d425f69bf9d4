-- Moves the cursor behind the events that both topics have acknowledged. No row: another process publishes this
-- partition; consumers skip events that it repeats by their ids.
UPDATE publish_cursor SET next_seq = :to_seq WHERE partition = :partition AND next_seq = :from_seq
