#!lua flags=no-writes
-- find: the remembered orders of a buyer field, for a reader that comes before settlement.
--
-- KEYS  stock, buyers
-- ARGV  1 buyer field
-- reply 'L' lost, then now (6) | 'K', now (6), remembered orders (60 each)
local mark = redis.call('HGET', KEYS[1], ':mark')
local now = struct.pack('>I6', now_ms())
if lost(mark) then return 'L' .. now end
return 'K' .. now .. (redis.call('HGET', KEYS[2], ARGV[1]) or '')
