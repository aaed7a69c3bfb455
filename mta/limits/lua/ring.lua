-- Wake one waiter; while a nudge lies unread another adds nothing. KEYS: the list.
if redis.call('LLEN', KEYS[1]) == 0 then
  redis.call('LPUSH', KEYS[1], 1)
end
return 0
