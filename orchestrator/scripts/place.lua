-- Where a partition stands, and what a housekeeping turn needs: finished runs that are due to leave, oldest first.
-- KEYS: p:{p}, fin:{p}   ARGV: now_ms, bytes that finished runs may hold, most runs to name
-- -> { epoch, off (-1 where there is none), { run, when it is due, ... }, bytes that finished runs hold }
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off', 'fin_bytes')
local due = redis.call('ZRANGE', KEYS[2], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[3], 'WITHSCORES')
if #due == 0 and tonumber(h[3] or 0) > tonumber(ARGV[2]) then
    due = redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[3]) - 1, 'WITHSCORES')
end
return { h[1] or '-1', h[2] or '-1', due, tonumber(h[3] or 0) }
