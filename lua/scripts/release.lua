#!lua flags=allow-oom
-- release: return units to stock, each release exactly once. The event sequences (after, to] are applied only if
-- the watermark equals `after`: a retry finds it advanced, a releaser that skipped some finds it behind.
-- Units are announced first and can be reserved later, when no gateway refuses orders from its cache any more.
-- The receipt of a cancelled order is kept (a retry still finds it), but it no longer counts against the limit.
--
-- KEYS  stock, returning, buyers
-- ARGV  1 after, 2 to, 3 delay_ms, 4 settled changes, 5 SKUs, then the ids of changes, then pairs SKU, units,
--       then pairs: buyer field, id of a cancelled order (16 bytes)
-- reply 'L' lost | 'K' applied | 'S' the watermark differs; then now (6), watermark (6)
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
  -- An unlimited SKU ('u') has no count to return to.
  if redis.call('HGET', KEYS[1], ARGV[at]) ~= 'u' then
    redis.call('RPUSH', KEYS[2], string.format('%.0f %s %s', ready, ARGV[at + 1], ARGV[at]))
  end
  at = at + 2
end
for i = at, #ARGV, 2 do
  local field, order = ARGV[i], ARGV[i + 1]
  local receipts = redis.call('HGET', KEYS[3], field) or ''
  for e = 1, #receipts, ENTRY do
    if string.sub(receipts, e, e + 15) == order then
      redis.call('HSET', KEYS[3], field, string.sub(receipts, 1, e + 58) .. 'C' .. string.sub(receipts, e + ENTRY))
      break
    end
  end
end
redis.call('HSET', KEYS[1], ':released', ARGV[2])
return 'K' .. struct.pack('>I6I6', now, ARGV[2])
