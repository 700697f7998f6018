-- Remembers which snapshots are in the log, and forgets those that were taken out of it.
-- KEYS: p:{p}, snap:{p}   ARGV: epoch, floor ('': unchanged), n_set, n_set * (run, entry), runs to forget ...
-- -> OK | RELOAD
if tonumber(redis.call('HGET', KEYS[1], 'epoch') or -1) ~= tonumber(ARGV[1]) then return { 'RELOAD' } end
local i = 4
for _ = 1, tonumber(ARGV[3]) do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) i = i + 2 end
for k = i, #ARGV do redis.call('HDEL', KEYS[2], ARGV[k]) end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'floor', ARGV[2]) end
return { 'OK' }
