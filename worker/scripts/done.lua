-- SPDX-License-Identifier: Apache-2.0
-- Marks tasks whose result is in the log: nobody calls for them again.
-- KEYS: tk:{p}:<task>...      ARGV: a TTL in ms for each task (of a mark without a lease)
-- The lease's own TTL reaches as far as the mark has to, and to keep it costs half of setting it again.
for i = 1, #KEYS do
    if not redis.call('SET', KEYS[i], 'D', 'XX', 'KEEPTTL') then redis.call('SET', KEYS[i], 'D', 'PX', ARGV[i]) end
end
return #KEYS
