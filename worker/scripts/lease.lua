-- SPDX-License-Identifier: Apache-2.0
-- Takes leases of tasks, first taker wins.
-- KEYS: p:{p}, tk:{p}:<run> of each task      ARGV: generation expected, worker, lease ms, tasks..., a TTL in ms for each
-- -> { generation of this Redis ('' while nobody owns the partition), a verdict for each task... }
--    T taken, or ours already ; H<ms> another holds it for so long ; E a lease ran out: lost ; D done ; F failed ; C cancelled
-- Another generation than expected: nothing is done and there are no verdicts.
local gen = redis.call('HGET', KEYS[1], 'gen') or ''
if gen == '' or gen ~= ARGV[1] then return { gen } end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lease = 'L|' .. ARGV[2] .. '|' .. string.format('%.0f', now + ARGV[3])
local out = { gen }
for i = 2, #KEYS do
    local task, ttl = ARGV[i + 2], tonumber(ARGV[i + 1 + #KEYS])
    local verdict = 'T'
    if redis.call('HSETNX', KEYS[i], task, lease) == 0 then
        local v = redis.call('HGET', KEYS[i], task)
        local who, ends = string.match(v, '^L|(.*)|(%d+)$')
        if not who then verdict = string.sub(v, 1, 1)
        elseif tonumber(ends) <= now then verdict = 'E'
        elseif who == ARGV[2] then redis.call('HSET', KEYS[i], task, lease)
        else verdict = 'H' .. string.format('%.0f', tonumber(ends) - now) end
    end
    -- A minute more than asked for, so that the next task of the run, under the same deadline, finds it long enough.
    if redis.call('PTTL', KEYS[i]) < ttl then redis.call('PEXPIRE', KEYS[i], ttl + 60000) end
    out[i] = verdict
end
return out
