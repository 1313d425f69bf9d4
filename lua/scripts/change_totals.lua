#!lua
-- change_totals: set the totals of limited SKUs while the sale is open. Totals are absolute, so the script is
-- idempotent. Units of a lowered total leave the stock here; units of a raised total arrive as a release, after
-- the change is stored in Postgres.
--
-- KEYS  stock, outbox
-- ARGV  1 deadline_ms, 2 change id, 3 payload, then pairs: SKU, total
-- reply 'L' lost | 'T' late, then now (6)
--       'K' now (6), outbox id: recorded              'Q' now (6): unchanged, and settled
--       'W' now (6): unchanged, but not settled yet   'B' now (6): an earlier change is not settled yet
--       'I' now (6), available units (6), SKU: too few units are available
local now = now_ms()
local stamp = struct.pack('>I6', now)
if not have_types('hash', 'stream') then return lost_reply(now) end
local state = redis.call('HMGET', KEYS[1], ':mark', ':next', ':change')
if lost(state[1]) then return lost_reply(now) end
if now > tonumber(ARGV[1]) then return 'T' .. stamp end
if not count(state[2]) then return lost_reply(now) end

local writes = {}
for i = 4, #ARGV, 2 do
  local sku, total = ARGV[i], tonumber(ARGV[i + 1])
  local found = redis.call('HMGET', KEYS[1], sku, '=' .. sku)
  -- An unlimited SKU has no total, and one that is not offered has neither.
  if not found[2] then return 'I' .. stamp .. struct.pack('>I6', 0) .. sku end
  local available, before = count(found[1]), count(found[2])
  if not available or not before then return lost_reply(now) end
  if total < before then
    if available < before - total then return 'I' .. stamp .. struct.pack('>I6', available) .. sku end
    writes[#writes + 1] = sku
    writes[#writes + 1] = available - (before - total)
  end
  if total ~= before then
    writes[#writes + 1] = '=' .. sku
    writes[#writes + 1] = total
  end
end
if #writes == 0 then return (state[3] and 'W' or 'Q') .. stamp end
if state[3] then return 'B' .. stamp end

-- The entry first: it alone may be refused, if the outbox has had a later sequence.
local id = redis.pcall('XADD', KEYS[2], state[2] .. '-*', 'change', ARGV[3])
if type(id) == 'table' then return lost_reply(now) end
redis.call('HSET', KEYS[1], ':change', ARGV[2], unpack(writes))
return 'K' .. stamp .. id
