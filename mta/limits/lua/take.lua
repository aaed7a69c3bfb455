-- Grant up to `want` units, as many as every bucket and counter allows, or none; one atomic step.
-- KEYS: buckets, then counters.
-- ARGV: want, number of buckets, then (interval in us, burst) per bucket, (limit, ttl in s) per counter.
-- A bucket is GCRA: its key holds the theoretical arrival time (TAT) of the next unit in us; with
-- TAT = now the whole burst is free. Interval and burst stand beside it, for who wants to look
-- (peek.lua). All times are whole microseconds of Redis's own clock.
-- Returns {granted, us until one more is free, index of the limiting key or 0}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local want, buckets = tonumber(ARGV[1]), tonumber(ARGV[2])
local granted, limiting, wait = want, 0, 0
local tats, used = {}, {}
local held = redis.call('MGET', unpack(KEYS))

for i = 1, #KEYS do
  local a, b = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  local free
  if i <= buckets then
    local tat = held[i] and tonumber(string.match(held[i], '^%d+')) or now
    -- Never owe more than a burst: limits were lowered, or the clock was set back.
    tat = math.min(math.max(tat, now), now + a * b)
    tats[i] = tat
    free = math.floor((now + a * b - tat) / a)
  else
    used[i] = tonumber(held[i] or 0)
    free = math.max(a - used[i], 0)
  end
  if free < granted then
    granted, limiting = free, i
  end
end

for i = 1, #KEYS do
  local a, b = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  if i <= buckets then
    local tat = tats[i] + granted * a
    -- Also when nothing is granted: the limit may be another than it was.
    if granted > 0 or held[i] then
      -- %.0f: Lua writes large numbers with an exponent and loses digits.
      redis.call('SET', KEYS[i], string.format('%.0f %.0f %.0f', tat, a, b), 'PX', math.ceil((tat - now) / 1000) + 1)
    end
    if granted < want then
      wait = math.max(wait, tat + a - a * b - now)
    end
  else
    if granted > 0 then
      redis.call('INCRBY', KEYS[i], granted)
      if not held[i] then
        redis.call('EXPIRE', KEYS[i], b)
      end
    end
    if granted < want and used[i] + granted >= a then
      local left = redis.call('PTTL', KEYS[i])
      -- A limit of 0 has no key and no end.
      wait = math.max(wait, (left > 0 and left or b * 1000) * 1000)
    end
  end
end
return {granted, string.format('%.0f', wait), limiting}
