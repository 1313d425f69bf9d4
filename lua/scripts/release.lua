#!lua flags=allow-oom
-- release: give units back, each release once. The event sequences (after, to] are applied only if
-- the watermark equals `after`: a repeat finds it moved, a releaser that skipped some finds it behind.
-- Units are announced first and can be taken later, when no gateway refuses from memory any more.
-- A cancelled order is remembered on (its key still finds it), but no longer counted.
--
-- KEYS  stock, returning, buyers
-- ARGV  1 after, 2 to, 3 delay_ms, 4 settled changes, 5 SKUs, then the ids of changes, then pairs SKU, units,
--       then pairs: buyer field, id of a cancelled order (16 bytes)
-- reply 'L' lost | 'K' applied | 'S' the watermark is another; then now (6), watermark (6)
local state = redis.call('HMGET', KEYS[1], ':mark', ':released', ':change')
local now = now_ms()
if lost(state[1]) then return 'L' .. struct.pack('>I6I6', now, 0) end
if state[2] ~= ARGV[1] then return 'S' .. struct.pack('>I6I6', now, state[2]) end

local ready = now + tonumber(ARGV[3])
local at = 6
for _ = 1, tonumber(ARGV[4]) do
  if ARGV[at] == state[3] then redis.call('HDEL', KEYS[1], ':change') end
  at = at + 1
end
for _ = 1, tonumber(ARGV[5]) do
  -- What is unlimited ('u') has no count to come back to.
  if redis.call('HGET', KEYS[1], ARGV[at]) ~= 'u' then
    redis.call('RPUSH', KEYS[2], string.format('%.0f %s %s', ready, ARGV[at + 1], ARGV[at]))
  end
  at = at + 2
end
for i = at, #ARGV, 2 do
  local field, order = ARGV[i], ARGV[i + 1]
  local mine = redis.call('HGET', KEYS[3], field) or ''
  for e = 1, #mine, ENTRY do
    if string.sub(mine, e, e + 15) == order then
      redis.call('HSET', KEYS[3], field, string.sub(mine, 1, e + 58) .. 'C' .. string.sub(mine, e + ENTRY))
      break
    end
  end
end
redis.call('HSET', KEYS[1], ':released', ARGV[2])
return 'K' .. struct.pack('>I6I6', now, ARGV[2])
