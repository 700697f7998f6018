/* SPDX-License-Identifier: Apache-2.0
 *
 * The accessors of common/io/store.h over the replies of the fake Redis: for programs that link the
 * simulator's store instead of the real one. */
#include "tests/sim/redis_internal.h"

enum store_type store_type(const struct store_reply *r)
{
    return r ? r->type : STORE_NIL;
}

int64_t store_integer(const struct store_reply *r)
{
    int64_t value = 0;
    if (store_type(r) == STORE_INTEGER) return r->integer;
    if (store_type(r) == STORE_STRING && parse_integer(r->text, &value)) return value;
    return 0;
}

struct bytes store_string(const struct store_reply *r)
{
    enum store_type type = store_type(r);
    return type == STORE_STRING || type == STORE_ERROR_TEXT ? r->text : (struct bytes){ 0 };
}

size_t store_count(const struct store_reply *r)
{
    return store_type(r) == STORE_ARRAY ? r->count : 0;
}

const struct store_reply *store_at(const struct store_reply *r, size_t i)
{
    return i < store_count(r) ? &r->items[i] : NULL;
}
