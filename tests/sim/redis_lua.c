/* SPDX-License-Identifier: Apache-2.0
 *
 * Scripts of the fake Redis: the very Lua 5.1 that Redis embeds, with its redis.call, its
 * conversions and its texts of errors. A script is compiled once. */
#include <ctype.h>
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "orchestrator/engine/arena.h"
#include "tests/sim/redis_internal.h"

struct redis_script {
    char sha1[SHA1_HEX];
    int function; /* a reference in Lua's registry */
    bool known;   /* to the process: false after a restart, until it is loaded again */
};

static struct redis *redis_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* --- what scripts may call --- */

static int raise_text(lua_State *L, const char *text, bool raise)
{
    lua_createtable(L, 0, 1);
    lua_pushfstring(L, "%s", text);
    lua_setfield(L, -2, "err");
    return raise ? lua_error(L) : 1;
}

/* The arguments of redis.call as words. false: one is neither text nor number. */
static bool take_words(lua_State *L, struct redis *r, size_t argc)
{
    if (argc > r->words_cap) {
        r->words_cap = 2 * argc;
        r->words = xrealloc(r->words, r->words_cap * sizeof *r->words);
    }
    buf_reset(&r->digits);
    buf_reserve(&r->digits, 32 * argc); /* so that no word moves */
    for (size_t i = 0; i < argc; i++) {
        int type = lua_type(L, (int)i + 1);
        if (type == LUA_TNUMBER) {
            double value = lua_tonumber(L, (int)i + 1);
            char *at = r->digits.data + r->digits.len;
            if (fabs(value) < 1e15 && value == trunc(value) && !(value == 0 && signbit(value)))
                buf_add_int(&r->digits, (int64_t)value);
            else
                buf_addf(&r->digits, "%.17g", value);
            r->words[i].data = at;
            r->words[i].len = (size_t)(r->digits.data + r->digits.len - at);
        } else if (type == LUA_TSTRING) {
            r->words[i].data = lua_tolstring(L, (int)i + 1, &r->words[i].len);
        } else {
            return false;
        }
    }
    return true;
}

/* Why a script may not give this command; NULL: it may. */
static const char *script_refused(const struct redis *r, const struct redis_command *command,
                                  size_t argc)
{
    if (!command) return "ERR Unknown Redis command called from script";
    if (!redis_arity_ok(command, argc))
        return "ERR Wrong number of args calling Redis command from script";
    if (command->flags & NO_SCRIPT) return "ERR This Redis command is not allowed from script";
    /* The state of the server counts up to the first write: nobody stops in the middle. */
    return r->script_dirty ? NULL : redis_refused(r, command);
}

static int call_redis(lua_State *L, bool raise)
{
    struct redis *r = redis_of(L);
    size_t argc = (size_t)lua_gettop(L);
    if (argc == 0)
        return raise_text(L, "ERR Please specify at least one argument for this redis lib call",
                          raise);
    if (!take_words(L, r, argc))
        return raise_text(L, "ERR Lua redis lib command arguments must be strings or integers",
                          raise);
    const struct redis_command *command = redis_command_find(r, r->words[0]);
    if (!command) redis_not_implemented(r, r->words[0]);
    const char *why = script_refused(r, command, argc);
    if (why) return raise_text(L, why, raise);
    if (command->flags & WRITES) r->script_dirty = true;
    r->calls++;
    struct call c = { .r = r, .argv = r->words, .argc = argc, .lua = L };
    command->run(&c);
    return c.failed && raise ? lua_error(L) : 1;
}

static int lua_redis_call(lua_State *L)
{
    return call_redis(L, true);
}

static int lua_redis_pcall(lua_State *L)
{
    return call_redis(L, false);
}

static int single_field(lua_State *L, const char *field)
{
    if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING)
        return raise_text(L, "ERR wrong number or type of arguments", false);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, field);
    return 1;
}

/* The first word is the code; a text of one word has none, and gets ERR. */
static int lua_error_reply(lua_State *L)
{
    if (lua_gettop(L) == 1 && lua_type(L, 1) == LUA_TSTRING) {
        const char *text = lua_tostring(L, 1);
        if (text[0] == '-') text++;
        lua_pushfstring(L, strchr(text, ' ') ? "%s" : "ERR %s", text);
        lua_replace(L, 1);
    }
    return single_field(L, "err");
}

static int lua_status_reply(lua_State *L)
{
    return single_field(L, "ok");
}

static int lua_sha1hex(lua_State *L)
{
    char hex[SHA1_HEX];
    struct bytes text;
    text.data = luaL_checklstring(L, 1, &text.len);
    sha1_hex(text, hex);
    lua_pushstring(L, hex);
    return 1;
}

static int lua_silent(lua_State *L)
{
    (void)L;
    return 0;
}

static int lua_no_global(lua_State *L)
{
    const char *name = lua_isstring(L, 2) ? lua_tostring(L, 2) : "?";
    return luaL_error(L, "Script attempted to access nonexistent global variable '%s'", name);
}

static int lua_no_write(lua_State *L)
{
    return luaL_error(L, "Attempt to modify a readonly table");
}

/* Errors become { err, source, line } of the Lua that raised them. */
static int lua_on_error(lua_State *L)
{
    lua_Debug at;
    bool known = lua_getstack(L, 1, &at) && lua_getinfo(L, "nSl", &at);
    if (known && at.what[0] == 'C') known = lua_getstack(L, 2, &at) && lua_getinfo(L, "nSl", &at);
    if (!lua_istable(L, 1)) {
        const char *text = lua_tostring(L, 1);
        lua_createtable(L, 0, 3);
        lua_pushfstring(L, "ERR %s", text ? text : luaL_typename(L, 1));
        lua_setfield(L, -2, "err");
        lua_replace(L, 1);
    }
    if (known) {
        lua_pushstring(L, at.source);
        lua_setfield(L, 1, "source");
        lua_pushinteger(L, at.currentline);
        lua_setfield(L, 1, "line");
    }
    lua_settop(L, 1);
    return 1;
}

/* Redis' own pcall: of an error { err } it gives the text. */
static int lua_plain_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    bool ok = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == 0;
    if (!ok && lua_istable(L, -1)) {
        lua_getfield(L, -1, "err");
        if (lua_isstring(L, -1))
            lua_replace(L, -2);
        else
            lua_pop(L, 1);
    }
    lua_pushboolean(L, ok);
    lua_insert(L, 1);
    return lua_gettop(L);
}

/* --- the interpreter --- */

/* Lua's memory: it takes and returns small pieces all the time, and says how large they are. */
#define PIECE       16 /* bytes; sizes are rounded up to it */
#define SMALL_BYTES 256
#define SLAB_BYTES  (64 << 10)
struct lua_pool {
    struct piece {
        struct piece *next;
    } * free[SMALL_BYTES / PIECE + 1], *slabs;
    char *at;
    size_t left; /* of the newest slab */
};

static void *pool_take(struct lua_pool *pool, size_t size)
{
    if (size > SMALL_BYTES) return xmalloc(size);
    size_t class = (size + PIECE - 1) / PIECE;
    struct piece *p = pool->free[class];
    if (p) {
        pool->free[class] = p->next;
        return p;
    }
    if (pool->left < class * PIECE) { /* what is left of the old one is lost */
        struct piece *slab = xmalloc(SLAB_BYTES);
        slab->next = pool->slabs;
        pool->slabs = slab;
        pool->at = (char *)slab + PIECE;
        pool->left = SLAB_BYTES - PIECE;
    }
    p = (struct piece *)(void *)pool->at;
    pool->at += class * PIECE;
    pool->left -= class * PIECE;
    return p;
}

static void pool_give(struct lua_pool *pool, void *ptr, size_t size)
{
    if (size > SMALL_BYTES) {
        free(ptr);
        return;
    }
    struct piece *p = ptr, **list = &pool->free[(size + PIECE - 1) / PIECE];
    p->next = *list;
    *list = p;
}

static void *pool_alloc(void *user, void *ptr, size_t old, size_t size)
{
    struct lua_pool *pool = user;
    if (ptr && old > SMALL_BYTES && size > SMALL_BYTES) return xrealloc(ptr, size);
    void *moved = size ? pool_take(pool, size) : NULL;
    if (ptr && size) memcpy(moved, ptr, MIN(old, size));
    if (ptr) pool_give(pool, ptr, old);
    return moved;
}

static struct lua_pool *pool_free(struct lua_pool *pool)
{
    for (struct piece *slab; (slab = pool->slabs);) {
        pool->slabs = slab->next;
        free(slab);
    }
    free(pool);
    return NULL;
}

static void push_function(struct redis *r, lua_CFunction fn)
{
    lua_pushlightuserdata(r->lua, r);
    lua_pushcclosure(r->lua, fn, 1);
}

static void open_libraries(lua_State *L)
{
    static const struct {
        const char *name;
        lua_CFunction open;
    } libraries[] = { { "", luaopen_base },
                      { LUA_TABLIBNAME, luaopen_table },
                      { LUA_STRLIBNAME, luaopen_string },
                      { LUA_MATHLIBNAME, luaopen_math } };
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        lua_pushcfunction(L, libraries[i].open);
        lua_pushstring(L, libraries[i].name);
        lua_call(L, 1, 0);
    }
    static const char *const absent[] = { "print",  "dofile",  "loadfile", "newproxy",
                                          "module", "require", "getfenv",  "setfenv" };
    for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
        lua_pushnil(L);
        lua_setglobal(L, absent[i]);
    }
    lua_pushcfunction(L, lua_plain_pcall);
    lua_setglobal(L, "pcall");
    lua_getglobal(L, "math"); /* Redis has its own; a script of ours has no use for chance */
    lua_pushnil(L);
    lua_setfield(L, -2, "random");
    lua_pushnil(L);
    lua_setfield(L, -2, "randomseed");
    lua_pop(L, 1);
}

void scripts_open(struct redis *r)
{
    r->lua_pool = xcalloc(1, sizeof *r->lua_pool);
    lua_State *L = r->lua = lua_newstate(pool_alloc, r->lua_pool);
    ASSERT(L);
    open_libraries(L);
    static const struct {
        const char *name;
        lua_CFunction fn;
    } functions[] = { { "call", lua_redis_call },         { "pcall", lua_redis_pcall },
                      { "error_reply", lua_error_reply }, { "status_reply", lua_status_reply },
                      { "sha1hex", lua_sha1hex },         { "log", lua_silent } };
    lua_newtable(L);
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        push_function(r, functions[i].fn);
        lua_setfield(L, -2, functions[i].name);
    }
    static const char *const levels[] = { "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING" };
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_setfield(L, -2, levels[i]);
    }
    lua_setglobal(L, "redis");
    lua_newtable(L);
    lua_pushcfunction(L, lua_no_global);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, lua_no_write);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, LUA_GLOBALSINDEX);
}

void scripts_forget(struct redis *r)
{
    size_t pos = 0;
    for (struct redis_script *s; (s = map_next(&r->scripts, &pos));) s->known = false;
}

void scripts_close(struct redis *r)
{
    size_t pos = 0;
    for (struct redis_script *s; (s = map_next(&r->scripts, &pos));) free(s);
    map_done(&r->scripts);
    lua_close(r->lua);
    r->lua_pool = pool_free(r->lua_pool);
    free(r->words);
    buf_done(&r->digits);
}

static struct redis_script *script_find(struct redis *r, struct bytes sha1)
{
    if (r->last && bytes_is(sha1, r->last->sha1)) return r->last;
    char lower[SHA1_HEX];
    if (sha1.len != SHA1_HEX - 1) return NULL;
    for (size_t i = 0; i < sha1.len; i++) lower[i] = (char)tolower((unsigned char)sha1.data[i]);
    return map_get(&r->scripts, (struct bytes){ .data = lower, .len = sha1.len });
}

/* NULL: it does not compile, which was answered. */
static struct redis_script *script_load(struct call *c, struct bytes source, const char *sha1)
{
    struct redis *r = c->r;
    struct redis_script *s = map_get(&r->scripts, bytes_of(sha1));
    if (!s) {
        if (luaL_loadbuffer(r->lua, source.data, source.len, "@user_script")) {
            reply_error(c, "ERR Error compiling script (new function): %s",
                        lua_tostring(r->lua, -1));
            lua_pop(r->lua, 1);
            return NULL;
        }
        s = xcalloc(1, sizeof *s);
        snprintf(s->sha1, sizeof s->sha1, "%s", sha1);
        s->function = luaL_ref(r->lua, LUA_REGISTRYINDEX);
        (void)map_put(&r->scripts, bytes_of(s->sha1), s);
    }
    s->known = true;
    return s;
}

/* --- a call --- */

static void set_words(lua_State *L, const char *name, const struct bytes *words, size_t count)
{
    lua_pushstring(L, name);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, words[i].len ? words[i].data : "", words[i].len);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_rawset(L, LUA_GLOBALSINDEX);
}

static bool push_raw_field(lua_State *L, const char *name, int type)
{
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    if (lua_type(L, -1) == type) return true;
    lua_pop(L, 1);
    return false;
}

/* Truncated; what does not fit is what x86's conversion makes of it. */
static int64_t to_integer(double value)
{
    return value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MIN;
}

static void answer_value(struct call *c, lua_State *L, size_t nesting);

/* Up to the first nil, as Redis. */
static void answer_table(struct call *c, lua_State *L, size_t nesting)
{
    if (push_raw_field(L, "err", LUA_TSTRING)) {
        reply_error(c, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
        return;
    }
    if (push_raw_field(L, "ok", LUA_TSTRING)) {
        reply_status(c, lua_tostring(L, -1));
        lua_pop(L, 1);
        return;
    }
    size_t count = 0;
    for (;; count++) {
        lua_rawgeti(L, -1, (int)count + 1);
        bool end = lua_isnil(L, -1);
        lua_pop(L, 1);
        if (end) break;
    }
    ASSERT(nesting < REPLY_DEPTH_MAX);
    reply_array(c, count);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        answer_value(c, L, nesting + 1);
        lua_pop(L, 1);
    }
}

/* The value on top of the stack, which stays. */
static void answer_value(struct call *c, lua_State *L, size_t nesting)
{
    struct bytes text;
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        text.data = lua_tolstring(L, -1, &text.len);
        reply_bytes(c, text);
        break;
    case LUA_TNUMBER: reply_integer(c, to_integer(lua_tonumber(L, -1))); break;
    case LUA_TBOOLEAN:
        if (lua_toboolean(L, -1))
            reply_integer(c, 1);
        else
            reply_nil(c);
        break;
    case LUA_TTABLE: answer_table(c, L, nesting); break;
    default: reply_nil(c);
    }
}

static void answer_failure(struct call *c, lua_State *L, const struct redis_script *s)
{
    if (!lua_istable(L, -1)) {
        reply_error(c, "ERR Error running script %s, %.100s\n", s->sha1,
                    lua_isstring(L, -1) ? lua_tostring(L, -1) : "execution failure");
        return;
    }
    lua_getfield(L, -1, "err");
    lua_getfield(L, -2, "source");
    lua_getfield(L, -3, "line");
    const char *text = lua_isstring(L, -3) ? lua_tostring(L, -3) : "ERR unknown error";
    if (lua_isstring(L, -2) && lua_isnumber(L, -1))
        reply_error(c, "%s script: %s, on %s:%d.", text, s->sha1, lua_tostring(L, -2),
                    (int)lua_tointeger(L, -1));
    else
        reply_error(c, "%s", text);
    lua_pop(L, 3);
}

static void script_run(struct call *c, struct redis_script *s, const struct bytes *argv,
                       size_t key_count, size_t argc)
{
    struct redis *r = c->r;
    lua_State *L = r->lua;
    r->last = s;
    lua_pushcfunction(L, lua_on_error);
    set_words(L, "KEYS", argv, key_count);
    set_words(L, "ARGV", argv + key_count, argc - key_count);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->function);
    r->in_script = true;
    r->script_dirty = false;
    int failed = lua_pcall(L, 0, 1, 1);
    r->in_script = false;
    if (failed)
        answer_failure(c, L, s);
    else
        answer_value(c, L, 0);
    lua_settop(L, 0);
}

static void eval(struct call *c, bool with_source)
{
    int64_t keys;
    if (!parse_integer(c->argv[2], &keys)) {
        reply_error(c, NOT_INTEGER);
        return;
    }
    if (keys > (int64_t)c->argc - 3) {
        reply_error(c, "ERR Number of keys can't be greater than number of args");
        return;
    }
    if (keys < 0) {
        reply_error(c, "ERR Number of keys can't be negative");
        return;
    }
    struct redis_script *s;
    if (with_source) {
        char sha1[SHA1_HEX];
        sha1_hex(c->argv[1], sha1);
        s = script_load(c, c->argv[1], sha1);
        if (!s) return;
    } else {
        s = script_find(c->r, c->argv[1]);
        if (!s || !s->known) {
            reply_error(c, "NOSCRIPT No matching script. Please use EVAL.");
            return;
        }
    }
    script_run(c, s, c->argv + 3, (size_t)keys, c->argc - 3);
}

void redis_cmd_eval(struct call *c)
{
    eval(c, true);
}

void redis_cmd_evalsha(struct call *c)
{
    eval(c, false);
}

void redis_cmd_script(struct call *c)
{
    if (c->argc == 3 && word_is(c->argv[1], "LOAD")) {
        char sha1[SHA1_HEX];
        sha1_hex(c->argv[2], sha1);
        if (script_load(c, c->argv[2], sha1)) reply_text(c, sha1);
    } else if (c->argc >= 3 && word_is(c->argv[1], "EXISTS")) {
        reply_array(c, c->argc - 2);
        for (size_t i = 2; i < c->argc; i++) {
            const struct redis_script *s = script_find(c->r, c->argv[i]);
            reply_integer(c, s && s->known);
        }
    } else if (c->argc == 2 && word_is(c->argv[1], "FLUSH")) {
        scripts_forget(c->r);
        reply_status(c, "OK");
    } else {
        redis_not_implemented(c->r, BYTES_LIT("SCRIPT but LOAD, EXISTS and FLUSH"));
    }
}

const struct store_reply *redis_script(struct redis *r, const char *sha1, const char *source,
                                       size_t key_count, const struct bytes *argv, size_t argc,
                                       void **arena)
{
    ASSERT(key_count <= argc && !r->in_script);
    struct store_reply *root = arena_alloc(arena, sizeof *root);
    struct call c = { .r = r, .arena = arena, .root = root };
    r->calls++;
    if (r->refusing == REDIS_LOADING) {
        reply_error(&c, "%s", redis_refused(r, redis_command_find(r, BYTES_LIT("EVAL"))));
        return root;
    }
    struct redis_script *s = script_find(r, bytes_of(sha1));
    if (source && !(s && s->known)) s = script_load(&c, bytes_of(source), sha1);
    if (s && s->known)
        script_run(&c, s, argv, key_count, argc);
    else if (!source)
        reply_error(&c, "NOSCRIPT No matching script. Please use EVAL.");
    return root;
}
