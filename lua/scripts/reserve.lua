#!lua
-- reserve: reserve units for a batch of orders, all lines of an order or none.
--
-- KEYS  stock, buyers, arrivals, outbox, returning            (one slot; built by contract::keys)
-- ARGV  1 deadline_ms   Redis TIME after which nothing may be written
--       2 opens_ms      0: no bound
--       3 closes_ms     0: no bound
--       4 state         open | paused | closed, as the gateway last received it
--       5 limit         maximum live orders of a customer, 0: unlimited
--       6 deletes       number of outbox ids that the log has acknowledged
--       7 skus          number of SKUs in the batch
--       then the ids, the SKUs, and five arguments per order:
--         buyer field, identity (24 bytes), terms (24 bytes),
--         arrival hash (8 bytes) + lines (SKU index 2 bytes from 0, quantity 4 bytes), payload
-- reply one string. 'L' lost | 'T' late, both: nothing written, then now (6 bytes).
--       'K', now (6), first sequence (5), accepted (2), then one verdict per order:
--         'A' accepted (the next sequence)   'R' replayed: in outbox (1), order receipt (60)
--         'U' key used with another body     'D' already ordered: in outbox (1), order id (16)
--         'N' not open yet  'P' paused  'C' closed
--         'S' too few units: SKU index (2), units left (5)
--
-- Order of checks per order: mark, key, window, buyer, stock. A retry must find its first response before any
-- check may refuse it. The script is atomic because Redis runs one script at a time; nothing after the first
-- write can fail, because Redis checks memory before the script starts (no allow-oom).
local stock = redis.call('HMGET', KEYS[1], ':mark', ':next')
local now = now_ms()
if lost(stock[1]) then return 'L' .. struct.pack('>I6', now) end
if now > tonumber(ARGV[1]) then return 'T' .. struct.pack('>I6', now) end

local opens, closes, state, limit = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local deletes, sku_count = tonumber(ARGV[6]), tonumber(ARGV[7])
local at = 8
if deletes > 0 then
  redis.call('XDEL', KEYS[4], unpack(ARGV, at, at + deletes - 1))
  at = at + deletes
end

-- Returned units that every gateway has had time to see announced.
local head = redis.call('LINDEX', KEYS[5], 0)
while head do
  local ready, units, sku = string.match(head, '^(%d+) (%d+) (.+)$')
  if tonumber(ready) > now then break end
  redis.call('HINCRBY', KEYS[1], sku, units)
  redis.call('LPOP', KEYS[5])
  head = redis.call('LINDEX', KEYS[5], 0)
end

local skus, left, touched = {}, {}, {}
if sku_count > 0 then
  left = redis.call('HMGET', KEYS[1], unpack(ARGV, at, at + sku_count - 1))
  for i = 1, sku_count do
    skus[i] = ARGV[at + i - 1]
    -- 'u': unlimited. An unknown SKU has no units.
    if left[i] == 'u' then
      left[i] = math.huge
    else
      left[i] = tonumber(left[i]) or 0
    end
  end
  at = at + sku_count
end

local fields = {}
for i = at, #ARGV, 5 do
  fields[#fields + 1] = ARGV[i]
end
local stored = redis.call('HMGET', KEYS[2], unpack(fields))
local receipts = {} -- buyer field -> its receipts
for i = 1, #fields do
  receipts[fields[i]] = stored[i] or ''
end

local refusal
if state == 'closed' or (closes > 0 and now >= closes) then
  refusal = 'C'
elseif opens > 0 and now < opens then
  refusal = 'N'
elseif state == 'paused' then
  refusal = 'P'
end

local first = tonumber(stock[2])
local sequence = first
local seen_from, seen_to = 0, 0

-- Returns '1' while the log has not acknowledged the batch with this sequence: it was accepted just now, or it is
-- in an entry of the outbox.
local function in_outbox(s)
  if s >= first then return '1' end
  if s < seen_from or s >= seen_to then
    seen_from, seen_to = entry_around(KEYS[4], s)
  end
  if s >= seen_from and s < seen_to then return '1' end
  return '0'
end

local function sequence_of(entry_start, entries) return (struct.unpack('>I5', entries, entry_start + 24)) end

local verdicts, payloads, arrivals, changed, order = {}, {}, {}, {}, 0
for i = at, #ARGV, 5 do
  order = order + 1
  local field, identity, lines = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local mine = receipts[field]
  local verdict

  local request, live, newest = string.sub(identity, 9, 16), 0, nil
  for e = 1, #mine, ENTRY do
    if string.sub(mine, e + 8, e + 15) == request then
      if string.sub(mine, e + 16, e + 23) == string.sub(identity, 17, 24) then
        verdict = 'R' .. in_outbox(sequence_of(e, mine)) .. string.sub(mine, e, e + ENTRY - 1)
      else
        verdict = 'U'
      end
      break
    end
    -- 'L': a live order.
    if string.byte(mine, e + 59) == 76 then
      live, newest = live + 1, e
    end
  end

  verdict = verdict or refusal
  if not verdict and limit > 0 and live >= limit then
    verdict = 'D' .. in_outbox(sequence_of(newest, mine)) .. string.sub(mine, newest, newest + 15)
  end
  if not verdict then
    for l = 9, #lines, 6 do
      local index, quantity = struct.unpack('>I2I4', lines, l)
      if left[index + 1] < quantity then
        verdict = 'S' .. struct.pack('>I2I5', index, left[index + 1])
        break
      end
    end
  end
  if not verdict then
    for l = 9, #lines, 6 do
      local index, quantity = struct.unpack('>I2I4', lines, l)
      left[index + 1] = left[index + 1] - quantity
      touched[index + 1] = true
    end
    verdict = 'A'
    receipts[field] = mine .. identity .. struct.pack('>I5I6', sequence, now) .. ARGV[i + 2] .. 'L'
    changed[field] = true
    arrivals[#arrivals + 1] = string.sub(lines, 1, 8)
    payloads[#payloads + 1] = ARGV[i + 4]
    sequence = sequence + 1
  end
  verdicts[order] = verdict
end

local accepted = sequence - first
if accepted > 0 then
  local writes = { ':next', sequence }
  for index in pairs(touched) do
    if left[index] ~= math.huge then
      writes[#writes + 1] = skus[index]
      writes[#writes + 1] = left[index]
    end
  end
  redis.call('HSET', KEYS[1], unpack(writes))
  writes = {}
  for field in pairs(changed) do
    writes[#writes + 1] = field
    writes[#writes + 1] = receipts[field]
  end
  redis.call('HSET', KEYS[2], unpack(writes))
  redis.call('APPEND', KEYS[3], table.concat(arrivals))
  redis.call('XADD', KEYS[4], first .. '-' .. (BATCH + accepted), 'at', now, 'orders', table.concat(payloads, ','))
end
return 'K' .. struct.pack('>I6I5I2', now, first, accepted) .. table.concat(verdicts)
