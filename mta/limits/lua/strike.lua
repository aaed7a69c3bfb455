-- Count up to a threshold. KEYS: the counter. ARGV: how many, threshold, ttl in ms.
-- Returns 1 when the threshold is reached, which begins the count anew, else 0.
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if count >= tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[1])
  return 1
end
if redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 0
