-- The least that a reservation must do, one order a call: a lock on the customer, a check, a take.
-- `loadtest bench` loads it and lets redis-benchmark call it, as the floor that reserve.lua is compared with.
--
-- KEYS  stock, buyers (hashes)
-- ARGV  SKU, customer
-- reply 1 taken, 0 sold out, -1 the customer has ordered already
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return -1 end
local left = tonumber(redis.call('HGET', KEYS[1], ARGV[1]))
if left < 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], left - 1)
redis.call('HSET', KEYS[2], ARGV[2], 1)
return 1
