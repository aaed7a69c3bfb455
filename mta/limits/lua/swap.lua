-- Put a new text where an old one stands, if that is still the one. KEYS: the text, the index.
-- ARGV: old ("" for none), new ("" ends it), ttl in ms, the member of the index.
-- The index is a sorted set: member -> end of its text in ms. Returns 1, or 0 for another text.
local held = redis.call('GET', KEYS[1]) or ''
if held ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[4])
  return 1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[3]), ARGV[4])
return 1
