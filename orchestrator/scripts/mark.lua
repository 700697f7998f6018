-- Marks tasks cancelled or done, as a part of a commit; what is done stays done.
-- KEYS: tk:{p}:<n> of each task   ARGV: for each task its name, C | D, ttl_ms
for k = 1, #KEYS do
    local key, task, mark, ttl = KEYS[k], ARGV[3 * k - 2], ARGV[3 * k - 1], tonumber(ARGV[3 * k])
    if redis.call('HGET', key, task) ~= 'D' then redis.call('HSET', key, task, mark) end
    if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl + 60000) end
end
return #KEYS
