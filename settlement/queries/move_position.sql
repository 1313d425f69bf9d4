-- Moves the position and the event sequence together, in the transaction of everything that they cover.
-- No row: another owner settles this partition (we are a zombie) or our memory is stale; the caller
-- drops everything it knows and rereads.
UPDATE log_position
   SET next_offset = $3, next_seq = $4
 WHERE topic = $1 AND partition = $2
   AND next_offset = $5 AND next_seq = $6
