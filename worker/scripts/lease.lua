-- SPDX-License-Identifier: Apache-2.0
-- Takes leases of tasks, first taker wins.
-- KEYS: p:{p}, tk:{p}:<n> each hash once
-- ARGV: generation expected, worker, lease ms, then for each hash: how many tasks, TTL in ms (the longest that one of
--       them needs), the tasks
-- -> { generation of this Redis ('' while nobody owns the partition), a verdict for each task... }
--    T taken, or ours already ; H<ms> another holds it for so long ; E a lease ran out: lost ; D done ; F failed ; C cancelled
-- Another generation than expected: nothing is done and there are no verdicts.
local gen = redis.call('HGET', KEYS[1], 'gen') or ''
if gen == '' or gen ~= ARGV[1] then return { gen } end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lease = 'L|' .. ARGV[2] .. '|' .. string.format('%.0f', now + ARGV[3])
local out, at = { gen }, 4
for i = 2, #KEYS do                             -- one read and one write for all tasks of a hash
    local key, count, ttl = KEYS[i], tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local first = at + 2
    at = first + count
    local held, set = redis.call('HMGET', key, unpack(ARGV, first, at - 1)), {}
    for k = 1, #held do
        local v, verdict = held[k], 'T'
        if v then
            local who, ends = string.match(v, '^L|(.*)|(%d+)$')
            if not who then verdict = string.sub(v, 1, 1)
            elseif tonumber(ends) <= now then verdict = 'E'
            elseif who ~= ARGV[2] then verdict = 'H' .. string.format('%.0f', tonumber(ends) - now) end
        end
        if verdict == 'T' then set[#set + 1] = ARGV[first + k - 1] set[#set + 1] = lease end
        out[#out + 1] = verdict
    end
    if #set > 0 then redis.call('HSET', key, unpack(set)) end
    -- A minute more than asked for, so that the next tasks, whose deadlines are a little later, find it long enough.
    if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl + 60000) end
end
return out
