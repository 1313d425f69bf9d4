#!lua flags=no-writes
-- find: the remembered orders of a buyer field, for a reader that comes before settlement.
--
-- KEYS  stock, buyers, outbox
-- ARGV  1 buyer field
-- reply 'L' lost, then now (6)
--       'K', now (6), then per remembered order: '1' while it is in the outbox, else '0'; the order (60)
local mark = redis.call('HGET', KEYS[1], ':mark')
local now = struct.pack('>I6', now_ms())
if lost(mark) then return 'L' .. now end

local mine = redis.call('HGET', KEYS[2], ARGV[1]) or ''
local parts = { 'K' .. now }
for e = 1, #mine, ENTRY do
  local sequence = struct.unpack('>I5', mine, e + 24)
  local from, to = entry_around(KEYS[3], sequence)
  parts[#parts + 1] = sequence >= from and sequence < to and '1' or '0'
  parts[#parts + 1] = string.sub(mine, e, e + ENTRY - 1)
end
return table.concat(parts)
