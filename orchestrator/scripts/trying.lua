-- Marks the event that is about to be folded under caution, or says that it was survived; or ends the caution.
-- A mark names the process that made it: one that lost the partition, claimed it again and comes back has survived.
-- KEYS: p:{p}   ARGV: epoch, offset, trying | survived | calm, process   -> { OK | RELOAD, processes that marked it }
local h = redis.call('HMGET', KEYS[1], 'epoch', 'try_off', 'try_by')
if tonumber(h[1] or -1) ~= tonumber(ARGV[1]) then return { 'RELOAD', 0 } end
if ARGV[3] ~= 'trying' then
    redis.call('HDEL', KEYS[1], 'try_off', 'try_by')
    if ARGV[3] == 'calm' then redis.call('HDEL', KEYS[1], 'caution') end
    return { 'OK', 0 }
end
local by = h[2] == ARGV[2] and h[3] or ''
if not string.find(by, ARGV[4], 1, true) then
    by = by .. ARGV[4] .. ' '
    redis.call('HSET', KEYS[1], 'try_off', ARGV[2], 'try_by', by)
end
local _, count = string.gsub(by, ' ', '')
return { 'OK', count }
