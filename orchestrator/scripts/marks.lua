-- Which tasks somebody has: for the re-emission of a recovery.
-- A failure's mark says where it stands in the log. What stands below our claim is folded: a task that is pending all the
-- same is done again and its mark forgotten, for the fold has ignored the failure (its generation was not the one of that
-- place). What stands above is yet to be folded, and will count.
-- KEYS: p:{p}, tk of each task   ARGV: epoch (offset of our owner claim), tasks...
-- -> { epoch, off (-1 where there is none), '' | live | ended | done ... }
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off')
local ours = h[1] == ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local out = { h[1] or '-1', h[2] or '-1' }
for k = 2, #KEYS do
    local v, state = redis.call('HGET', KEYS[k], ARGV[k]), ''
    local failed = v and string.match(v, '^F|?(.*)$')                 -- the broker may not have told the place: -1
    if failed and ours and (tonumber(failed) or -1) < tonumber(ARGV[1]) then redis.call('HDEL', KEYS[k], ARGV[k])
    elseif v == 'D' or v == 'C' or failed then state = 'done'
    elseif v then state = tonumber(string.match(v, '([^|]*)$')) > now and 'live' or 'ended' end
    out[k + 1] = state
end
return out
