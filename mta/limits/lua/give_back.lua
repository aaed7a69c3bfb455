-- Put units back that were granted and not used.
-- KEYS: buckets, then counters. ARGV: count, number of buckets, then one interval in us per bucket.
-- A bucket is never filled above its burst, a counter never falls below 0.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local count, buckets = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 1, #KEYS do
  local held = redis.call('GET', KEYS[i])
  if held and i > buckets then
    held = tonumber(held)
    if held > 0 then
      redis.call('DECRBY', KEYS[i], math.min(count, held))
    end
  elseif held then
    local tat, rest = string.match(held, '^(%d+)(.*)$')
    tat = tonumber(tat) - count * tonumber(ARGV[2 + i])
    if tat > now then
      redis.call('SET', KEYS[i], string.format('%.0f', tat) .. rest, 'PX', math.ceil((tat - now) / 1000) + 1)
    else
      redis.call('DEL', KEYS[i])
    end
  end
end
return 0
