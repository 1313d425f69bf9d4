#!lua flags=allow-oom
-- release: give units back, each release once. The event sequences (after, to] are applied only if
-- the watermark equals `after`: a repeat finds it moved, a releaser that skipped some finds it behind.
-- Units are announced first and can be taken later, when no gateway refuses from memory any more.
--
-- KEYS  stock, returning
-- ARGV  1 after, 2 to, 3 delay_ms, 4 settled changes, then their ids, then pairs: SKU, units
-- reply 'L' lost | 'K' applied | 'S' the watermark is another; then now (6), watermark (6)
local state = redis.call('HMGET', KEYS[1], ':mark', ':released', ':change')
local now = now_ms()
if lost(state[1]) then return 'L' .. struct.pack('>I6I6', now, 0) end
if state[2] ~= ARGV[1] then return 'S' .. struct.pack('>I6I6', now, state[2]) end

local ready = now + tonumber(ARGV[3])
local changes = tonumber(ARGV[4])
for i = 5, 4 + changes do
  if ARGV[i] == state[3] then redis.call('HDEL', KEYS[1], ':change') end
end
for i = 5 + changes, #ARGV, 2 do
  redis.call('RPUSH', KEYS[2], string.format('%.0f %s %s', ready, ARGV[i + 1], ARGV[i]))
end
redis.call('HSET', KEYS[1], ':released', ARGV[2])
return 'K' .. struct.pack('>I6I6', now, ARGV[2])
