-- For each group of limits: how many units they would grant in `lead` us from now; nothing is taken.
-- KEYS: the buckets, then the counters, of each group in turn.
-- ARGV: lead, number of groups, then per group (number of buckets, number of counters), then per key
-- (interval in us, burst) or (limit, 0).
-- Returns per group {free, us until one is free, index in the group of the tightest key or 0};
-- free is -1 where nothing limits. The wait of a full counter is not known: 0.
local time = redis.call('TIME')
local lead, groups = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = time[1] * 1000000 + time[2]
local held = #KEYS > 0 and redis.call('MGET', unpack(KEYS)) or {}
local at, args, answer = 0, 2 + 2 * groups, {}
for group = 1, groups do
  local buckets, counters = tonumber(ARGV[1 + 2 * group]), tonumber(ARGV[2 + 2 * group])
  local free, wait, tightest = -1, 0, 0
  for i = 1, buckets + counters do
    local a, b = tonumber(ARGV[args + 2 * (at + i) - 1]), tonumber(ARGV[args + 2 * (at + i)])
    local here
    if i <= buckets then
      local tat = held[at + i] and tonumber(string.match(held[at + i], '^%d+')) or now
      tat = math.min(math.max(tat, now), now + a * b)
      here = math.floor((now + lead + a * b - tat) / a)
      if here < 1 then
        wait = math.max(wait, tat + a - a * b - now)
      end
    else
      here = math.max(a - tonumber(held[at + i] or 0), 0)
    end
    if free < 0 or here < free then
      free, tightest = here, i
    end
  end
  at = at + buckets + counters
  answer[group] = {free, string.format('%.0f', wait), tightest}
end
return answer
