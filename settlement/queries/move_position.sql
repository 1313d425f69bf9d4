-- Moves the position and the event sequence together, in the transaction of all effects that they cover. No row:
-- another owner settles this partition (this process is a zombie) or the in-memory state is stale; the caller drops
-- its state and reads it again.
UPDATE log_position
   SET next_offset = :to_offset, next_seq = :to_seq
 WHERE topic = :topic AND partition = :partition
   AND next_offset = :from_offset AND next_seq = :from_seq
