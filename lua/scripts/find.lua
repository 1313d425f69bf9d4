#!lua flags=no-writes
-- find: the remembered orders of a buyer field, for a reader that comes before settlement.
--
-- KEYS  stock, buyers, outbox
-- ARGV  1 buyer field
-- reply 'L' lost, then now (6)
--       'K', now (6), then per remembered order: '1' while it is in the outbox, else '0'; the order (60)
local ENTRY = 60      -- contract::remembered::BYTES
local BATCH = 1000000 -- contract::record::OutboxId::BATCH

local mark = redis.call('HGET', KEYS[1], ':mark')
local now = struct.pack('>I6', now_ms())
if lost(mark) then return 'L' .. now end

-- The entry that may hold a sequence is the last one that begins at or before it.
local function in_outbox(sequence)
  local entry = redis.call('XREVRANGE', KEYS[3], sequence .. '-18446744073709551615', '-', 'COUNT', 1)[1]
  if not entry then return '0' end
  local from, low = string.match(entry[1], '^(%d+)-(%d+)$')
  if sequence < tonumber(from) + math.max(tonumber(low) - BATCH, 0) then return '1' end
  return '0'
end

local mine = redis.call('HGET', KEYS[2], ARGV[1]) or ''
local parts = { 'K' .. now }
for e = 1, #mine, ENTRY do
  parts[#parts + 1] = in_outbox((struct.unpack('>I5', mine, e + 24)))
  parts[#parts + 1] = string.sub(mine, e, e + ENTRY - 1)
end
return table.concat(parts)
