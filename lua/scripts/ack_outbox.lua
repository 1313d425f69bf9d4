#!lua flags=allow-oom
-- ack_outbox: delete outbox entries that the log has acknowledged. It frees memory, so it may run when Redis is
-- full.
--
-- KEYS  stock, outbox
-- ARGV  outbox ids
-- reply 'L' lost | 'K', then now (6)
local mark = redis.call('HGET', KEYS[1], ':mark')
local now = struct.pack('>I6', now_ms())
if lost(mark) then return 'L' .. now end
redis.call('XDEL', KEYS[2], unpack(ARGV))
return 'K' .. now
