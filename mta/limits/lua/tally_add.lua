-- Add to the counts of the running slot.
-- KEYS: prefix of each dimension. ARGV: seconds of a slot, seconds to keep it, most fields of a slot,
-- then (index of the dimension, field, count) each.
local slot = math.floor(redis.call('TIME')[1] / ARGV[1])
local most = tonumber(ARGV[3])
for i = 4, #ARGV, 3 do
  local key = KEYS[tonumber(ARGV[i])] .. slot
  local field, count = ARGV[i + 1], tonumber(ARGV[i + 2])
  if redis.call('HINCRBY', key, field, count) == count then
    local fields = redis.call('HLEN', key)
    if fields == 1 then
      redis.call('EXPIRE', key, ARGV[2])
    elseif fields > most then
      redis.call('HDEL', key, field)
    end
  end
end
