-- Reads fields of a run together with the place they stand for.
-- KEYS: p:{p}, run   ARGV: names   -> { epoch, off (-1 where there is none), values (nil where there is none) ... }
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off')
local out = redis.call('HMGET', KEYS[2], unpack(ARGV))
table.insert(out, 1, h[2] or '-1')
table.insert(out, 1, h[1] or '-1')
return out
