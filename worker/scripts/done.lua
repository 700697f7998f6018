-- SPDX-License-Identifier: Apache-2.0
-- Marks tasks whose result is in the log: nobody calls for them again.
-- KEYS: tk:{p}:<task>...      ARGV: a TTL in ms for each task
for i = 1, #KEYS do redis.call('SET', KEYS[i], 'D', 'PX', ARGV[i]) end
return #KEYS
