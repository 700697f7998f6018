-- SPDX-License-Identifier: Apache-2.0
-- Renews the leases of calls that run, and makes them again where a new generation has lost them.
-- KEYS: tk:{p}:<n> of each task      ARGV: worker, lease ms, tasks..., a TTL in ms for each
-- -> a verdict for each task: R renewed ; O another has a live lease: go on, the first result wins ; D done ; C cancelled
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lease = 'L|' .. ARGV[1] .. '|' .. string.format('%.0f', now + ARGV[2])
local out = {}
for i = 1, #KEYS do
    local task, ttl = ARGV[i + 2], tonumber(ARGV[i + 2 + #KEYS])
    local v = redis.call('HGET', KEYS[i], task)
    local who, ends = string.match(v or '', '^L|(.*)|(%d+)$')
    if v and not who then out[i] = string.sub(v, 1, 1)
    elseif who and who ~= ARGV[1] and tonumber(ends) > now then out[i] = 'O'
    else
        redis.call('HSET', KEYS[i], task, lease)
        if redis.call('PTTL', KEYS[i]) < ttl then redis.call('PEXPIRE', KEYS[i], ttl + 60000) end
        out[i] = 'R'
    end
end
return out
