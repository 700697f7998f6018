-- The facts of an installation that never change: written by the first orchestrator, compared by every other.
-- KEYS: sys   ARGV: partitions, cluster id ('' where the broker has none), format
-- -> { partitions, cluster id, format } as stored
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1])
if ARGV[2] ~= '' then redis.call('HSETNX', KEYS[1], 'cluster', ARGV[2]) end
redis.call('HSETNX', KEYS[1], 'format', ARGV[3])
local h = redis.call('HMGET', KEYS[1], 'partitions', 'cluster', 'format')
return { h[1], h[2] or '', h[3] }
