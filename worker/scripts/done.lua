-- SPDX-License-Identifier: Apache-2.0
-- Marks tasks whose result is in the log: nobody calls for them again.
-- KEYS: tk:{p}:<task>...      ARGV: a TTL in ms for each task (of a mark without a lease), then D or
--       F|<offset> (the result is a failure, and stands there in the log) for each; D where it is not said
-- The lease's own TTL reaches as far as the mark has to, and to keep it costs half of setting it again.
for i = 1, #KEYS do
    local mark = ARGV[#KEYS + i] or 'D'
    if not redis.call('SET', KEYS[i], mark, 'XX', 'KEEPTTL') then redis.call('SET', KEYS[i], mark, 'PX', ARGV[i]) end
end
return #KEYS
