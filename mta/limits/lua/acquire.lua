-- Take a lease on every slot, or on none. KEYS: one per slot. ARGV: (limit, holder, ttl in us) each.
-- A slot is a sorted set: holder -> end of its lease in us. A holder that has a lease renews it.
-- Returns 0, or the index of the first slot that is full.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local coming = {}
for i, key in ipairs(KEYS) do
  local limit, holder = tonumber(ARGV[3 * i - 2]), ARGV[3 * i - 1]
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
  if not redis.call('ZSCORE', key, holder) then
    coming[key] = (coming[key] or 0) + 1
    if redis.call('ZCARD', key) + coming[key] > limit then
      return i
    end
  end
end
for i, key in ipairs(KEYS) do
  local ttl = tonumber(ARGV[3 * i])
  redis.call('ZADD', key, string.format('%.0f', now + ttl), ARGV[3 * i - 1])
  -- The set outlives its longest lease, and no more.
  local ms = math.ceil(ttl / 1000) + 1
  if redis.call('PTTL', key) < ms then
    redis.call('PEXPIRE', key, ms)
  end
end
return 0
