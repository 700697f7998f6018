-- SPDX-License-Identifier: Apache-2.0
-- The fleet's circuit breaker of one dependency: takes one worker's counts of the last moments, answers the state.
-- KEYS: cb:<dependency> (hash), {cb:<dependency>}:probes (same slot; zset of half-open permits, by expiry)
-- ARGV: worker, window ms, calls minimum, failure rate %, open wait ms, permits, permit ms, ok, failed,
--       probes ok, probes failed, permits wanted, permits held (unused, or of calls under way)
-- Hash: state (closed open half), until (ms), epoch, b<second> "ok failed", w<worker> ms of its last failure,
--       s<worker> ms it was last seen, pok, pbad
-- -> { state, epoch, ms until it may be probed, permits granted }
local h, z = KEYS[1], KEYS[2]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function number(i) return tonumber(ARGV[i]) end
local window = number(2)
local all = redis.call('HGETALL', h)
local f, drop = {}, {}
for i = 1, #all, 2 do f[all[i]] = all[i + 1] end
local state, until_ms, epoch = f.state or 'closed', tonumber(f['until'] or 0), tonumber(f.epoch or 0)
local set = { 's' .. ARGV[1], now }
if number(8) + number(9) > 0 then
    local b = 'b' .. math.floor(now / 1000)
    local ok, bad = string.match(f[b] or '0 0', '^(%d+) (%d+)$')
    f[b] = (tonumber(ok) + number(8)) .. ' ' .. (tonumber(bad) + number(9))
    set[#set + 1] = b set[#set + 1] = f[b]
end
if number(9) > 0 then
    f['w' .. ARGV[1]] = now
    set[#set + 1] = 'w' .. ARGV[1] set[#set + 1] = now
end
f['s' .. ARGV[1]] = now
-- Rates over the window; seconds and workers that left it are dropped.
local ok, bad, failing, seen = 0, 0, 0, 0
for k, v in pairs(f) do
    local kind, rest = string.sub(k, 1, 1), string.sub(k, 2)
    if kind == 'b' and string.match(rest, '^%d+$') then
        if tonumber(rest) * 1000 < now - window then drop[#drop + 1] = k
        else
            local o, n = string.match(v, '^(%d+) (%d+)$')
            ok, bad = ok + tonumber(o), bad + tonumber(n)
        end
    elseif kind == 'w' then
        if tonumber(v) < now - window then drop[#drop + 1] = k else failing = failing + 1 end
    elseif kind == 's' and k ~= 'state' then
        if tonumber(v) < now - window then drop[#drop + 1] = k else seen = seen + 1 end
    end
end
local function go(to, wait)
    state, epoch, until_ms = to, epoch + 1, now + wait
    f.pok, f.pbad = 0, 0
    for k in pairs(f) do                        -- a new state starts with empty counts
        if string.match(k, '^b%d+$') or (string.sub(k, 1, 1) == 'w') then drop[#drop + 1] = k end
    end
    for i = #set - 1, 1, -2 do                  -- nor may this call's own counts come back
        if string.match(set[i], '^[bw]') then table.remove(set, i + 1) table.remove(set, i) end
    end
    redis.call('DEL', z)
end
redis.call('ZREMRANGEBYSCORE', z, '-inf', now)
local granted = 0
if state == 'closed' then
    local calls = ok + bad
    if calls >= number(3) and bad * 100 >= number(4) * calls and (failing >= 2 or seen <= 1) then
        go('open', number(5))
    end
elseif state == 'open' and now >= until_ms and number(12) > 0 then
    go('half', 0)
end
if state == 'half' then
    local pok = tonumber(f.pok or 0) + number(10)
    local pbad = tonumber(f.pbad or 0) + number(11)
    f.pok, f.pbad = pok, pbad
    -- What this worker says it holds is renewed, the rest of its permits has come back. One that says nothing any more
    -- loses its permits soon: while they are out nobody else may probe.
    local held = number(13)
    for _, m in ipairs(redis.call('ZRANGE', z, 0, -1)) do
        if string.match(m, '^(.*)|%d+$') == ARGV[1] then
            if held > 0 then redis.call('ZADD', z, now + number(7), m) else redis.call('ZREM', z, m) end
            held = held - 1
        end
    end
    if pok + pbad >= number(6) then
        if pbad * 100 >= number(4) * (pok + pbad) then go('open', number(5)) else go('closed', 0) end
    else
        local free = number(6) - pok - pbad - redis.call('ZCARD', z)
        granted = math.max(0, math.min(free, number(12)))
        for i = 1, granted do
            local n = redis.call('HINCRBY', h, 'permit', 1)
            redis.call('ZADD', z, now + number(7), ARGV[1] .. '|' .. n)
        end
        redis.call('PEXPIRE', z, number(7) * 2)
    end
end
for _, v in ipairs({ 'state', state, 'until', string.format('%.0f', until_ms), 'epoch', epoch,
                     'pok', f.pok or 0, 'pbad', f.pbad or 0 }) do set[#set + 1] = v end
if #drop > 0 then redis.call('HDEL', h, unpack(drop)) end
redis.call('HSET', h, unpack(set))
redis.call('PEXPIRE', h, math.max(window, number(5)) * 10)
return { state, epoch, math.max(0, until_ms - now), granted }
