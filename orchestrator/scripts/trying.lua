-- Marks the event that is about to be folded under caution, or says that it was survived; or ends the caution.
-- KEYS: p:{p}   ARGV: epoch, offset, trying | survived | calm   -> { OK | RELOAD, owners that marked it }
local h = redis.call('HMGET', KEYS[1], 'epoch', 'try_off', 'try_count', 'try_epoch')
if tonumber(h[1] or -1) ~= tonumber(ARGV[1]) then return { 'RELOAD', 0 } end
if ARGV[3] ~= 'trying' then
    redis.call('HDEL', KEYS[1], 'try_off', 'try_count', 'try_epoch')
    if ARGV[3] == 'calm' then redis.call('HDEL', KEYS[1], 'caution') end
    return { 'OK', 0 }
end
local count = h[2] == ARGV[2] and tonumber(h[3]) or 0
if count > 0 and h[4] == ARGV[1] then return { 'OK', count } end                 -- asked again after a lost reply
redis.call('HSET', KEYS[1], 'try_off', ARGV[2], 'try_count', count + 1, 'try_epoch', ARGV[1])
return { 'OK', count + 1 }
