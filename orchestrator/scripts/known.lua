-- Whether a run may still be needed: by Redis, or by a replay from the last floor (docs/payloads.md). One that is gone
-- leaves snap:{p} only once a floor stands above its end. A partition whose owner has not recovered under this very
-- server (it was wiped, went back, or is being rebuilt) needs all.
-- KEYS: p:{p}, snap:{p}, run   ARGV: what a generation of this server begins with, run id
-- -> 1 | 0
local h = redis.call('HMGET', KEYS[1], 'gen', 'gen_seen', 'rebuild', 'replay_from')
if not h[1] or h[2] ~= ARGV[1] .. h[1] or h[3] or h[4] then return 1 end
if redis.call('EXISTS', KEYS[3]) == 1 then return 1 end
return redis.call('HEXISTS', KEYS[2], ARGV[2])
