-- SPDX-License-Identifier: Apache-2.0
-- Renews the leases of calls that run, and makes them again where a new generation has lost them.
-- KEYS: tk:{p}:<n> each hash once
-- ARGV: worker, lease ms, then for each hash: how many tasks, TTL in ms (the longest that one of them needs), the tasks
-- -> a verdict for each task: R renewed ; O another has a live lease: go on, the first result wins ; D done ; F failed ; C cancelled
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lease = 'L|' .. ARGV[1] .. '|' .. string.format('%.0f', now + ARGV[2])
local out, at = {}, 3
for i = 1, #KEYS do                             -- one read and one write for all tasks of a hash
    local key, count, ttl = KEYS[i], tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local first = at + 2
    at = first + count
    local held, set = redis.call('HMGET', key, unpack(ARGV, first, at - 1)), {}
    for k = 1, #held do
        local v, verdict = held[k], 'R'
        if v then
            local who, ends = string.match(v, '^L|(.*)|(%d+)$')
            if not who then verdict = string.sub(v, 1, 1)
            elseif who ~= ARGV[1] and tonumber(ends) > now then verdict = 'O' end
        end
        if verdict == 'R' then set[#set + 1] = ARGV[first + k - 1] set[#set + 1] = lease end
        out[#out + 1] = verdict
    end
    if #set > 0 then
        redis.call('HSET', key, unpack(set))
        if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl + 60000) end
    end
end
return out
