-- Puts runs back from their snapshots amid a rebuild; the last call sets the place that they stand for, from
-- which on the replay may commit (rebuild = 2).
-- KEYS: p:{p}, tm:{p}, fin:{p}, snap:{p}, per run: run, start key; of the last call: the ledger, start keys ...
-- ARGV: epoch, place ('': more follow), fold_gen at the place, fin_bytes (delta),
--       per run: run id, live (1) or finished (0), due_ms, holds its start key (1 | 0), entry of snap:{p}, n_set,
--       n_set * (field, value); of the last call: the run id of each start key, then name, value of each entry of the ledger
-- -> OK | RELOAD
local h = redis.call('HMGET', KEYS[1], 'epoch', 'rebuild')
if tonumber(h[1] or -1) ~= tonumber(ARGV[1]) or not h[2] then return { 'RELOAD' } end
local i = 5
local last = ARGV[2] ~= ''
if last then
    for k = 6, #KEYS do redis.call('SET', KEYS[k], ARGV[i]) i = i + 1 end
    for n = i, #ARGV, 2 do redis.call('HSET', KEYS[5], ARGV[n], ARGV[n + 1]) end
end
for k = 5, last and 0 or #KEYS, 2 do
    local n = tonumber(ARGV[i + 5])
    redis.call('UNLINK', KEYS[k])
    redis.call('ZADD', ARGV[i + 1] == '1' and KEYS[2] or KEYS[3], ARGV[i + 2], ARGV[i])
    if ARGV[i + 3] == '1' then redis.call('SET', KEYS[k + 1], ARGV[i]) end
    redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 4])
    i = i + 6
    while n > 0 do                                            -- Lua's unpack has a limit of about 8,000 values
        local some = math.min(n, 1000)
        redis.call('HSET', KEYS[k], unpack(ARGV, i, i + 2 * some - 1))
        i, n = i + 2 * some, n - some
    end
end
if ARGV[4] ~= '0' then redis.call('HINCRBY', KEYS[1], 'fin_bytes', ARGV[4]) end
if last then
    redis.call('HSET', KEYS[1], 'off', ARGV[2], 'replay_from', ARGV[2], 'tries_off', ARGV[2], 'rebuild', 2)
    if ARGV[3] ~= '' then redis.call('HSET', KEYS[1], 'fold_gen', ARGV[3]) end
end
return { 'OK' }
