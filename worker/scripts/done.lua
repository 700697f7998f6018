-- SPDX-License-Identifier: Apache-2.0
-- Marks tasks whose result is in the log: nobody calls for them again.
-- KEYS: tk:{p}:<n> of each task      ARGV: tasks..., a TTL in ms for each, then D or
--       F|<offset> (the result is a failure, and stands there in the log) for each; D where it is not said
-- The lease has seen to it that the hash lives long enough.
local i = 1
while i <= #KEYS do                             -- tasks of one hash in turn: one write for all of them
    local key, set, longest = KEYS[i], {}, 0
    while KEYS[i] == key do
        set[#set + 1] = ARGV[i] set[#set + 1] = ARGV[2 * #KEYS + i] or 'D'
        longest = math.max(longest, tonumber(ARGV[#KEYS + i]))
        i = i + 1
    end
    if redis.call('HSET', key, unpack(set)) > 0 and redis.call('PTTL', key) < longest then
        redis.call('PEXPIRE', key, longest + 60000)
    end
end
return #KEYS
