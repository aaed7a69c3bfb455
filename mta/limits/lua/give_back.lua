-- Put units back that were granted and not used.
-- KEYS: buckets, then counters. ARGV: count, number of buckets, then one interval in us per bucket.
-- A bucket is never filled above its burst, a counter never falls below 0.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local count, buckets = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 1, #KEYS do
  local held = tonumber(redis.call('GET', KEYS[i]) or 0)
  if i > buckets then
    if held > 0 then
      redis.call('DECRBY', KEYS[i], math.min(count, held))
    end
  elseif held > now then
    local tat = held - count * tonumber(ARGV[2 + i])
    if tat > now then
      redis.call('SET', KEYS[i], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
    else
      redis.call('DEL', KEYS[i])
    end
  end
end
return 0
