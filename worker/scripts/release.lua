-- SPDX-License-Identifier: Apache-2.0
-- Gives back leases of tasks that were never started, so that the next worker need not wait.
-- KEYS: tk:{p}:<n> of each task      ARGV: worker, tasks...
local mine, n = 'L|' .. ARGV[1] .. '|', 0
for i = 1, #KEYS do
    local v = redis.call('HGET', KEYS[i], ARGV[i + 1])
    if v and string.sub(v, 1, #mine) == mine then n = n + redis.call('HDEL', KEYS[i], ARGV[i + 1]) end
end
return n
