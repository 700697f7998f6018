-- A page of the live runs of a partition with their due times, with the place it stands for.
-- KEYS: p:{p}, tm:{p}   ARGV: first index, last index
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off')
return { h[1] or '-1', h[2] or '-1', redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'WITHSCORES') }
