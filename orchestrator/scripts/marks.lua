-- Which tasks somebody has: for the re-emission of a recovery.
-- KEYS: p:{p}, tk ...   -> { epoch, off, '' | live | ended | done ... }
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off')
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local out = { h[1] or '-1', h[2] or '-1' }
for k = 2, #KEYS do
    local v, state = redis.call('GET', KEYS[k]), ''
    if v == 'D' or v == 'C' then state = 'done'
    elseif v then state = tonumber(string.match(v, '([^|]*)$')) > now and 'live' or 'ended' end
    out[k + 1] = state
end
return out
