-- Make a bucket full, at a new rate, as take.lua keeps it. KEYS: the bucket.
-- ARGV: interval in us, burst, how long it stands in ms.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f', now, ARGV[1], ARGV[2]), 'PX', ARGV[3])
return 1
