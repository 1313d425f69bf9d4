-- The minimum that a reservation must do, one order per call: lock the customer, check the stock, take a unit.
-- `load bench` loads it for redis-benchmark, as the baseline that reserve.lua is compared with.
--
-- KEYS  stock, buyers (hashes)
-- ARGV  SKU, customer
-- reply 1 reserved, 0 sold out, -1 the customer has an order already
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return -1 end
local left = tonumber(redis.call('HGET', KEYS[1], ARGV[1]))
if left < 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], left - 1)
redis.call('HSET', KEYS[2], ARGV[2], 1)
return 1
