-- A page of what snapshots are to be made of: runs with what tells whether they changed since their last one.
-- KEYS: p:{p}, snap:{p}, tm:{p} | fin:{p} | snap:{p}   ARGV: cursor, how many about, what a run's key begins with, [run, ...]
-- -> { epoch, off (-1 where there is none), fold_gen, next cursor, size of the third key, { run, entry of snap:{p} or '', skeleton or '' } ... }
-- Of snap:{p} itself only runs that exist no more are named. Where runs are given, only those are looked at, and the cursor stays.
local h = redis.call('HMGET', KEYS[1], 'epoch', 'off', 'fold_gen')
local dead = KEYS[2] == KEYS[3]
local page = { ARGV[1], {} }
for i = 4, #ARGV do
    page[2][2 * i - 7], page[2][2 * i - 6] = ARGV[i], ''
end
if #ARGV == 3 then page = redis.call(dead and 'HSCAN' or 'ZSCAN', KEYS[3], ARGV[1], 'COUNT', ARGV[2]) end
local size = redis.call(dead and 'HLEN' or 'ZCARD', KEYS[3])
local out = { h[1] or '-1', h[2] or '-1', h[3] or '', page[1], size }
for i = 1, #page[2], 2 do
    local id = page[2][i]
    local s = redis.call('HGET', ARGV[3] .. id, 's')
    if dead then
        if not s then out[#out + 1] = { id, page[2][i + 1], '' } end
    elseif s then
        out[#out + 1] = { id, redis.call('HGET', KEYS[2], id) or '', s }
    end
end
return out
