-- Which tasks somebody has: for the re-emission of a recovery.
-- A failure that was marked (F) may have been ignored by the fold, if its generation was not the one of that place in
-- the log: what is still pending then is done again, and its mark is forgotten.
-- KEYS: p:{p}, tk ...   ARGV: epoch, forget failures (1 | 0)
-- -> { epoch, off (-1 where there is none), '' | live | ended | done ... }
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off')
local forget = ARGV[2] == '1' and h[1] == ARGV[1]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local out = { h[1] or '-1', h[2] or '-1' }
for k = 2, #KEYS do
    local v, state = redis.call('GET', KEYS[k]), ''
    if v == 'F' and forget then redis.call('DEL', KEYS[k])
    elseif v == 'D' or v == 'C' or v == 'F' then state = 'done'
    elseif v then state = tonumber(string.match(v, '([^|]*)$')) > now and 'live' or 'ended' end
    out[k + 1] = state
end
return out
