-- The one write of the fold: changed runs, timers, marks of tasks, and the offset they stand for, if and only if the
-- partition stands where this batch began and is still ours.
-- KEYS: p:{p}, tm:{p}, fin:{p}, n_mark * tk, n_key * key, then one key a run
-- ARGV: epoch, from, to, recovered (1: the replay is over; every commit of RUN passes 1), fold_gen ('': unchanged),
--       gen_seen ('': unchanged), fin_bytes (delta), n_mark, n_key, n_tm_add, n_tm_del, n_fin_add, n_fin_del,
--       n_mark * (task, C | D, ttl_ms), n_key * (run id, '': delete), n_tm_add * (due_ms, run), n_tm_del * run,
--       n_fin_add * (due_ms, run), n_fin_del * run,
--       per run: n_set, n_del, n_set * (field, value), n_del * field     (n_set = -1: delete the run)
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off', 'replay_until', 'rebuild')
local e, o = tonumber(h[1] or -1), tonumber(h[2] or -1)
local me, from, to = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if e > me then return { 'FENCED', h[1], h[2] } end
if e == me and o == to then return { 'DUP', h[1], h[2] } end
if e ~= me or o ~= from then return { 'RELOAD', h[1] or '', h[2] or '' } end     -- e < me: a rewind undid our takeover
if h[4] == '1' then return { 'RELOAD', h[1], h[2] } end                          -- a rewind undid what was restored
local n_mark, n_key = tonumber(ARGV[8]), tonumber(ARGV[9])
local i, k = 14, 4
for _ = 1, n_mark do
    local ttl = tonumber(ARGV[i + 2])
    if redis.call('HGET', KEYS[k], ARGV[i]) ~= 'D' then redis.call('HSET', KEYS[k], ARGV[i], ARGV[i + 1]) end
    if redis.call('PTTL', KEYS[k]) < ttl then redis.call('PEXPIRE', KEYS[k], ttl + 60000) end
    i, k = i + 3, k + 1
end
for _ = 1, n_key do
    if ARGV[i] == '' then redis.call('DEL', KEYS[k]) else redis.call('SET', KEYS[k], ARGV[i]) end
    i, k = i + 1, k + 1
end
local function each(command, key, from, n, slice)            -- Lua's unpack has a limit of about 8,000 values
    for at = from, from + n - 1, slice do
        redis.call(command, key, unpack(ARGV, at, math.min(at + slice, from + n) - 1))
    end
end
local function index(command, key, n)                        -- one call for all members: at most a run of the batch each
    if n > 0 then redis.call(command, key, unpack(ARGV, i, i + n - 1)) i = i + n end
end
index('ZADD', KEYS[2], 2 * ARGV[10])
index('ZREM', KEYS[2], tonumber(ARGV[11]))
index('ZADD', KEYS[3], 2 * ARGV[12])
index('ZREM', KEYS[3], tonumber(ARGV[13]))
for r = k, #KEYS do
    local set, del = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
    i = i + 2
    if set < 0 then
        redis.call('UNLINK', KEYS[r])
    else
        each('HDEL', KEYS[r], i + 2 * set, del, 4000)        -- first: what is deleted may be written again
        each('HSET', KEYS[r], i, 2 * set, 4000)
        i = i + 2 * set + del
    end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'off', ARGV[3])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'fold_gen', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'gen_seen', ARGV[6]) end
if ARGV[7] ~= '0' then redis.call('HINCRBY', KEYS[1], 'fin_bytes', ARGV[7]) end
if ARGV[4] == '1' and h[3] then redis.call('HDEL', KEYS[1], 'replay_from', 'replay_until', 'rebuild') end
return { 'OK', ARGV[1], ARGV[3] }
