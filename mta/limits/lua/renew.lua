-- Lengthen leases. KEYS: one per slot. ARGV: (limit, holder, ttl in us) each.
-- A lease that ran out is taken again while there is room; otherwise it is lost.
-- Returns the indexes of the lost ones.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lost = {}
for i, key in ipairs(KEYS) do
  local limit, holder, ttl = tonumber(ARGV[3 * i - 2]), ARGV[3 * i - 1], tonumber(ARGV[3 * i])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
  if redis.call('ZSCORE', key, holder) or redis.call('ZCARD', key) < limit then
    redis.call('ZADD', key, string.format('%.0f', now + ttl), holder)
    local ms = math.ceil(ttl / 1000) + 1
    if redis.call('PTTL', key) < ms then
      redis.call('PEXPIRE', key, ms)
    end
  else
    lost[#lost + 1] = i
  end
end
return lost
