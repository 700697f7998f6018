-- SPDX-License-Identifier: Apache-2.0
-- Gives back leases of tasks that were never started, so that the next worker need not wait.
-- KEYS: tk:{p}:<task>...      ARGV: worker
local mine, n = 'L|' .. ARGV[1] .. '|', 0
for i = 1, #KEYS do
    local v = redis.call('GET', KEYS[i])
    if v and string.sub(v, 1, #mine) == mine then n = n + redis.call('DEL', KEYS[i]) end
end
return n
