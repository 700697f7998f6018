-- Reads runs and start keys together with the place they stand for: what was read under another (epoch, off) than the
-- owner holds must not be used.
-- A run with very many fields would hold up Redis: it is read in pieces (fields.lua).
-- KEYS: p:{p}, n_run * run, then start keys   ARGV: n_run, fields that a run may have (0: any number)
-- -> { epoch, off (-1 where there is none), run fields ... ({ 'large' } where it has more), start keys' run ids ('' where
--      there is none) ... }
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off')
local out = { h[1] or '-1', h[2] or '-1' }
local n, most = tonumber(ARGV[1]), tonumber(ARGV[2])
for k = 2, n + 1 do
    local fields = redis.call('HLEN', KEYS[k])
    if fields == 0 then out[k + 1] = {}                          -- a run that begins: the most frequent case
    elseif most > 0 and fields > most then out[k + 1] = { 'large' }
    else out[k + 1] = redis.call('HGETALL', KEYS[k]) end
end
for k = n + 2, #KEYS do out[k + 1] = redis.call('GET', KEYS[k]) or '' end
return out
