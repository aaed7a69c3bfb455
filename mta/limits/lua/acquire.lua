-- For each group of slots take a lease on every slot, or on none. KEYS: the slots of all groups.
-- ARGV: number of groups, the size of each, then (limit, holder, ttl in us) per slot.
-- A slot is a sorted set: holder -> end of its lease in us. A holder that has a lease renews it.
-- Returns per group 0, or the index in the group of the first slot that is full.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local groups = tonumber(ARGV[1])
local swept, longest, answer = {}, {}, {}
local at = 0
for group = 1, groups do
  local size = tonumber(ARGV[1 + group])
  local coming, full = {}, 0
  for i = 1, size do
    local key, arg = KEYS[at + i], 1 + groups + 3 * (at + i)
    if not swept[key] then
      redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
      swept[key] = true
    end
    if not redis.call('ZSCORE', key, ARGV[arg - 1]) then
      coming[key] = (coming[key] or 0) + 1
      if redis.call('ZCARD', key) + coming[key] > tonumber(ARGV[arg - 2]) then
        full = i
        break
      end
    end
  end
  if full == 0 then
    for i = 1, size do
      local key, arg = KEYS[at + i], 1 + groups + 3 * (at + i)
      local ttl = tonumber(ARGV[arg])
      redis.call('ZADD', key, string.format('%.0f', now + ttl), ARGV[arg - 1])
      longest[key] = math.max(longest[key] or 0, ttl)
    end
  end
  answer[group] = full
  at = at + size
end
for key, ttl in pairs(longest) do
  -- The set outlives its longest lease, and no more.
  local ms = math.ceil(ttl / 1000) + 1
  if redis.call('PTTL', key) < ms then
    redis.call('PEXPIRE', key, ms)
  end
end
return answer
