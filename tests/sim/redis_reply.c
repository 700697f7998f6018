/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies of the fake Redis: each value goes straight to the Lua stack of a script, or into the
 * arena of a call. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "orchestrator/engine/arena.h"
#include "tests/sim/redis_internal.h"

/* Where the next value of an arena's reply goes. */
static struct store_reply *next_item(struct call *c)
{
    while (c->depth && c->levels[c->depth - 1].next == c->levels[c->depth - 1].count) c->depth--;
    struct store_reply *item =
        c->depth ? &c->levels[c->depth - 1].items[c->levels[c->depth - 1].next++] : c->root;
    *item = (struct store_reply){ 0 };
    return item;
}

/* The value on top of Lua's stack joins the array below it; full arrays join theirs. */
static void lua_item(struct call *c)
{
    while (c->depth) {
        size_t at = ++c->levels[c->depth - 1].next;
        lua_rawseti(c->lua, -2, (int)at);
        if (at < c->levels[c->depth - 1].count) return;
        c->depth--;
    }
}

static void lua_tagged(struct call *c, const char *tag, const char *text)
{
    lua_createtable(c->lua, 0, 1);
    lua_pushstring(c->lua, tag);
    lua_pushstring(c->lua, text);
    lua_rawset(c->lua, -3);
}

void reply_nil(struct call *c)
{
    if (c->lua) {
        lua_pushboolean(c->lua, 0);
        lua_item(c);
        return;
    }
    next_item(c)->type = STORE_NIL;
}

void reply_integer(struct call *c, int64_t value)
{
    if (c->lua) {
        lua_pushnumber(c->lua, (lua_Number)value);
        lua_item(c);
        return;
    }
    struct store_reply *item = next_item(c);
    item->type = STORE_INTEGER;
    item->integer = value;
}

void reply_bytes(struct call *c, struct bytes text)
{
    if (c->lua) {
        lua_pushlstring(c->lua, text.len ? text.data : "", text.len);
        lua_item(c);
        return;
    }
    struct store_reply *item = next_item(c);
    item->type = STORE_STRING;
    item->text = arena_copy(c->arena, text);
}

void reply_text(struct call *c, const char *text)
{
    reply_bytes(c, bytes_of(text));
}

void reply_status(struct call *c, const char *text)
{
    if (c->lua) {
        lua_tagged(c, "ok", text);
        lua_item(c);
        return;
    }
    struct store_reply *item = next_item(c);
    item->type = STORE_STRING;
    item->status = true;
    item->text = arena_text(c->arena, text);
}

void reply_double(struct call *c, double value)
{
    char digits[40];
    if (isinf(value))
        snprintf(digits, sizeof digits, "%s", value > 0 ? "inf" : "-inf");
    else
        snprintf(digits, sizeof digits, "%.17g", value);
    reply_text(c, digits);
}

void reply_error(struct call *c, const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->failed = true;
    if (c->lua) {
        lua_tagged(c, "err", text);
        lua_item(c);
        return;
    }
    struct store_reply *item = next_item(c);
    item->type = STORE_ERROR_TEXT;
    item->text = arena_text(c->arena, text);
}

void reply_array(struct call *c, size_t count)
{
    struct store_reply *items = NULL;
    if (c->lua) {
        lua_createtable(c->lua, (int)count, 0);
        if (count == 0) lua_item(c);
    } else {
        struct store_reply *item = next_item(c);
        item->type = STORE_ARRAY;
        item->count = count;
        if (count) items = item->items = arena_alloc(c->arena, count * sizeof *items);
    }
    if (count == 0) return;
    ASSERT(c->depth < REPLY_DEPTH_MAX);
    c->levels[c->depth].next = 0;
    c->levels[c->depth].count = count;
    c->levels[c->depth].items = items;
    c->depth++;
}
