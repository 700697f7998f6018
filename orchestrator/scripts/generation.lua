-- The generation of a partition's Redis data, made where there is none (a new or a wiped Redis), and what Redis knows
-- of the log: the last claim (its offset and token) and where the state stands.
-- KEYS: p:{p}   ARGV: a random value
-- -> { gen, epoch, off, token of the claim at epoch, log start up to which a loss was accepted }   ('' where unknown)
redis.call('HSETNX', KEYS[1], 'gen', ARGV[1])
local h = redis.call('HMGET', KEYS[1], 'gen', 'epoch', 'off', 'claim', 'accept_loss')
return { h[1], h[2] or '', h[3] or '', h[4] or '', h[5] or '' }
