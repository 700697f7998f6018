-- SPDX-License-Identifier: Apache-2.0
-- Marks tasks whose result is in the log: nobody calls for them again.
-- KEYS: tk:{p}:<run> of each task      ARGV: tasks..., a TTL in ms for each, then D or
--       F|<offset> (the result is a failure, and stands there in the log) for each; D where it is not said
-- The lease has seen to it that the marks of its run live long enough.
for i = 1, #KEYS do
    local ttl, mark = tonumber(ARGV[#KEYS + i]), ARGV[2 * #KEYS + i] or 'D'
    if redis.call('HSET', KEYS[i], ARGV[i], mark) == 1 and redis.call('PTTL', KEYS[i]) < ttl then
        redis.call('PEXPIRE', KEYS[i], ttl + 60000)
    end
end
return #KEYS
