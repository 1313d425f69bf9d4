-- Moves behind what both topics have acknowledged. No row: another process publishes this partition;
-- what it has told again, consumers skip by its id.
UPDATE publish_cursor SET next_seq = $2 WHERE partition = $1 AND next_seq = $3
