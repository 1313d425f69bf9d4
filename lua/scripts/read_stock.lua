#!lua flags=no-writes
-- read_stock: the stock of a sale, and a chunk of the customers who may hold an order in it. Everything in one
-- reply is a consistent snapshot, which fast refusals depend on.
--
-- KEYS  stock, arrivals, returning
-- ARGV  1 from    bytes of arrivals that the caller has
--       2 chunk   maximum bytes of arrivals to return; -1: none, but whether a change of totals is pending
--       then the SKUs
-- reply 'L' lost, then now (6)
--       'K', now (6), next sequence (5), release watermark (6), bytes of arrivals (5),
--       per SKU: available (6, all ones: unlimited), returning (6); then the chunk, or '1' or '0'
local now = now_ms()
if not have_types('hash', 'string', 'list') then return lost_reply(now) end
local state = redis.call('HMGET', KEYS[1], ':mark', ':next', ':released', ':change')
if lost(state[1]) then return lost_reply(now) end
if not count(state[2]) or not count(state[3]) then return lost_reply(now) end

local returning = {}
for _, entry in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  local units, sku = string.match(entry, '^%d+ (%d+) (.+)$')
  if not count(units) then return lost_reply(now) end
  returning[sku] = (returning[sku] or 0) + tonumber(units)
end
local parts = { 'K' .. struct.pack('>I6I5I6I5', now, state[2], state[3], redis.call('STRLEN', KEYS[2])) }
if #ARGV > 2 then
  local left = redis.call('HMGET', KEYS[1], unpack(ARGV, 3))
  for i = 3, #ARGV do
    local available = left[i - 2]
    if available == 'u' then
      available = 281474976710655
    else
      available = not available and 0 or count(available)
      if not available then return lost_reply(now) end
    end
    parts[#parts + 1] = struct.pack('>I6I6', available, returning[ARGV[i]] or 0)
  end
end
local from, chunk = tonumber(ARGV[1]), tonumber(ARGV[2])
if chunk < 0 then parts[#parts + 1] = state[4] and '1' or '0' end
if chunk > 0 then parts[#parts + 1] = redis.call('GETRANGE', KEYS[2], from, from + chunk - 1) end
return table.concat(parts)
