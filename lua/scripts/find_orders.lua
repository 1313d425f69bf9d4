#!lua flags=no-writes
-- find_orders: the order receipts of a buyer field, for requests that arrive before settlement.
--
-- KEYS  stock, buyers, outbox
-- ARGV  1 buyer field
-- reply 'L' lost, then now (6)
--       'K', now (6), then per receipt: '1' while the order is in the outbox, else '0'; the receipt (60)
local now = now_ms()
if not have_types('hash', 'hash', 'stream') then return lost_reply(now) end
if lost(redis.call('HGET', KEYS[1], ':mark')) then return lost_reply(now) end

local receipts = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if #receipts % ENTRY ~= 0 then return lost_reply(now) end
local parts = { 'K' .. struct.pack('>I6', now) }
for e = 1, #receipts, ENTRY do
  local sequence = struct.unpack('>I5', receipts, e + 24)
  local from, to = entry_around(KEYS[3], sequence)
  parts[#parts + 1] = sequence >= from and sequence < to and '1' or '0'
  parts[#parts + 1] = string.sub(receipts, e, e + ENTRY - 1)
end
return table.concat(parts)
