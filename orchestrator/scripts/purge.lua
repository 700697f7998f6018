-- Deletes keys at the beginning of a rebuild, if it is still ours: an owner that was stopped amid it must not delete
-- what its successor has built.
-- KEYS: p:{p}, keys ...   ARGV: epoch   -> OK | RELOAD
local h = redis.call('HMGET', KEYS[1], 'epoch', 'rebuild')
if tonumber(h[1] or -1) ~= tonumber(ARGV[1]) or not h[2] then return { 'RELOAD' } end
for k = 2, #KEYS do redis.call('UNLINK', KEYS[k]) end
return { 'OK' }
