-- Sum the counts of the last slots.
-- KEYS: prefix of each dimension. ARGV: seconds of a slot, number of slots, number of fields, then
-- (index of the dimension, field, ...) each.
-- Returns one number for each field, in order.
local slot = math.floor(redis.call('TIME')[1] / ARGV[1])
local slots, width = tonumber(ARGV[2]), tonumber(ARGV[3])
local sums = {}
for i = 4, #ARGV, width + 1 do
  local first = #sums
  for j = 1, width do
    sums[first + j] = 0
  end
  for back = 0, slots - 1 do
    local found = redis.call('HMGET', KEYS[tonumber(ARGV[i])] .. (slot - back), unpack(ARGV, i + 1, i + width))
    for j = 1, width do
      sums[first + j] = sums[first + j] + (found[j] or 0)
    end
  end
end
return sums
