-- What buckets are like that somebody takes from. KEYS: buckets.
-- Returns per key "TAT-minus-now interval burst" in us and units, or "" for one that is full.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {}
for i, held in ipairs(redis.call('MGET', unpack(KEYS))) do
  local tat, rest
  if held then
    tat, rest = string.match(held, '^(%d+) (.+)$')
  end
  answer[i] = tat and string.format('%.0f %s', tonumber(tat) - now, rest) or ''
end
return answer
