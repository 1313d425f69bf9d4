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
local now = now_ms()
local function lost_release() return 'L' .. struct.pack('>I6I6', now, 0) end
if not have_types('hash', 'list', 'hash') then return lost_release() end
local state = redis.call('HMGET', KEYS[1], ':mark', ':released', ':change')
if lost(state[1]) then return lost_release() end
if not count(state[2]) then return lost_release() end
if state[2] ~= ARGV[1] then return 'S' .. struct.pack('>I6I6', now, count(state[2])) end

local ready = now + tonumber(ARGV[3])
local at = 6
local is_settled = false -- the pending change of totals
for _ = 1, tonumber(ARGV[4]) do
  is_settled = is_settled or ARGV[at] == state[3]
  at = at + 1
end
local announced = {}
for _ = 1, tonumber(ARGV[5]) do
  -- An unlimited SKU ('u') has no count to return to.
  if redis.call('HGET', KEYS[1], ARGV[at]) ~= 'u' then
    announced[#announced + 1] = string.format('%.0f %s %s', ready, ARGV[at + 1], ARGV[at])
  end
  at = at + 2
end
local receipts = {} -- buyer field -> its receipts
for i = at, #ARGV, 2 do
  local field, order = ARGV[i], ARGV[i + 1]
  local mine = receipts[field] or redis.call('HGET', KEYS[3], field) or ''
  if #mine % ENTRY ~= 0 then return lost_release() end
  for e = 1, #mine, ENTRY do
    if string.sub(mine, e, e + 15) == order then
      receipts[field] = string.sub(mine, 1, e + 58) .. 'C' .. string.sub(mine, e + ENTRY)
      break
    end
  end
end

if is_settled then redis.call('HDEL', KEYS[1], ':change') end
for _, entry in ipairs(announced) do
  redis.call('RPUSH', KEYS[2], entry)
end
for field, mine in pairs(receipts) do
  redis.call('HSET', KEYS[3], field, mine)
end
redis.call('HSET', KEYS[1], ':released', ARGV[2])
return 'K' .. struct.pack('>I6I6', now, ARGV[2])
