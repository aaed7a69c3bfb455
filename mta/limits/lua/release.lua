-- End leases. KEYS: one per slot. ARGV: the holder of each. One that ended by itself is no error.
for i, key in ipairs(KEYS) do
  redis.call('ZREM', key, ARGV[i])
end
return 0
