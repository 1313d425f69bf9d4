#!lua flags=allow-oom
-- ack_outbox: delete outbox entries that the log has acknowledged. It frees memory, so it may run when Redis is
-- full.
--
-- KEYS  stock, outbox
-- ARGV  outbox ids
-- reply 'L' lost | 'K', then now (6)
local now = now_ms()
if not have_types('hash', 'stream') then return lost_reply(now) end
if lost(redis.call('HGET', KEYS[1], ':mark')) then return lost_reply(now) end
redis.call('XDEL', KEYS[2], unpack(ARGV))
return 'K' .. struct.pack('>I6', now)
