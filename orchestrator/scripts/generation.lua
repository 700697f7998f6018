-- The generation of a partition's Redis data, made where there is none (a new or a wiped Redis).
-- KEYS: p:{p}   ARGV: a random value
redis.call('HSETNX', KEYS[1], 'gen', ARGV[1])
return redis.call('HGET', KEYS[1], 'gen')
