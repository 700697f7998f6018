-- Fences the old owner of a partition and says where its state stands (docs/protocol.md).
-- KEYS: p:{p}   ARGV: epoch (offset of our owner claim), log start, gen (that our claim names), the token of our claim
-- -> { FENCED, epoch } or { WIPED, gen } or { OK | REBUILD, off, replay_from, tries, gen, fold_gen, gen_seen, caution }
-- WIPED: Redis has another gen or none, and nothing is done. A copy of this call that comes late, behind a wipe, would
-- otherwise make a partition that its owner takes for the one it knows, under a gen that nobody was told.
-- caution is there from the third takeover at one place on, until trying.lua ends it: an event may be crashing its
-- owners. It is the offset that was reached last (of a rebuild, which begins anew, not the place where it begins).
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off', 'replay_from', 'tries', 'tries_off', 'rebuild', 'caution', 'gen')
local me, start = tonumber(ARGV[1]), tonumber(ARGV[2])
if tonumber(h[1] or -1) > me then return { 'FENCED', h[1] } end
if h[8] ~= ARGV[3] then return { 'WIPED', h[8] or '' } end
local off, from, state = tonumber(h[2] or -1), tonumber(h[3] or h[2] or -1), 'OK'
if off < start or h[6] then                                   -- wiped, too old, or an unfinished rebuild
    off, from, state = start, start, 'REBUILD'
    redis.call('HSET', KEYS[1], 'rebuild', 1)
    redis.call('HDEL', KEYS[1], 'fold_gen', 'gen_seen', 'fin_bytes')
end
local tries = tonumber(h[5] or -1) == off and tonumber(h[4]) + 1 or 1    -- takeovers at this very place
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'off', off, 'replay_from', from, 'replay_until', ARGV[1],
           'tries', tries, 'tries_off', off, 'claim', ARGV[4])
if tries > 2 or h[7] then redis.call('HSET', KEYS[1], 'caution', h[2] or off) end
local g = redis.call('HMGET', KEYS[1], 'gen', 'fold_gen', 'gen_seen', 'caution')
return { state, off, from, tries, g[1], g[2] or '', g[3] or '', g[4] or '' }
