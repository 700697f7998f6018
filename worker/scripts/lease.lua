-- SPDX-License-Identifier: Apache-2.0
-- Takes leases of tasks, first taker wins.
-- KEYS: p:{p}, tk:{p}:<n> of each task      ARGV: generation expected, worker, lease ms, tasks..., a TTL in ms for each
-- -> { generation of this Redis ('' while nobody owns the partition), a verdict for each task... }
--    T taken, or ours already ; H<ms> another holds it for so long ; E a lease ran out: lost ; D done ; F failed ; C cancelled
-- Another generation than expected: nothing is done and there are no verdicts.
local gen = redis.call('HGET', KEYS[1], 'gen') or ''
if gen == '' or gen ~= ARGV[1] then return { gen } end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lease = 'L|' .. ARGV[2] .. '|' .. string.format('%.0f', now + ARGV[3])
local out = { gen }
local i = 2
while i <= #KEYS do                             -- tasks of one hash in turn: one read and one write for all of them
    local key, first, longest = KEYS[i], i, 0
    while KEYS[i] == key do
        longest = math.max(longest, tonumber(ARGV[i + 1 + #KEYS]))
        i = i + 1
    end
    local held, set = redis.call('HMGET', key, unpack(ARGV, first + 2, i + 1)), {}
    for k = first, i - 1 do
        local v, verdict = held[k - first + 1], 'T'
        if v then
            local who, ends = string.match(v, '^L|(.*)|(%d+)$')
            if not who then verdict = string.sub(v, 1, 1)
            elseif tonumber(ends) <= now then verdict = 'E'
            elseif who ~= ARGV[2] then verdict = 'H' .. string.format('%.0f', tonumber(ends) - now) end
        end
        if verdict == 'T' then set[#set + 1] = ARGV[k + 2] set[#set + 1] = lease end
        out[k] = verdict
    end
    if #set > 0 then redis.call('HSET', key, unpack(set)) end
    -- A minute more than asked for, so that the next tasks, whose deadlines are a little later, find it long enough.
    if redis.call('PTTL', key) < longest then redis.call('PEXPIRE', key, longest + 60000) end
end
return out
