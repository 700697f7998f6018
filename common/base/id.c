/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/id.h"

#include <stdio.h>

#include "common/base/hash.h"

static void hash_hex(struct bytes data, char *ret, size_t digits)
{
    char hex[SHA256_HEX];
    sha256_hex(data, hex);
    memcpy(ret, hex, digits);
}

/* r of an id without a key is a hash of its u. */
static void route_by_unique(char id[RUN_ID_MAX])
{
    hash_hex((struct bytes){ .data = id + ROUTE_HEX + 1, .len = UNIQUE_HEX }, id, ROUTE_HEX);
    id[ROUTE_HEX] = '-';
    id[RUN_ID_MAX - 1] = '\0';
}

void run_id_random(char ret[RUN_ID_MAX], int64_t wall_ms, const unsigned char random[6])
{
    char time_hex[17];
    snprintf(time_hex, sizeof time_hex, "%016llx", (unsigned long long)wall_ms);
    char *u = ret + ROUTE_HEX + 1;
    memcpy(u, time_hex + 4, 12);
    hex_encode(random, 6, u + 12);
    route_by_unique(ret);
}

void run_id_from_origin(char ret[RUN_ID_MAX], struct bytes origin)
{
    hash_hex(origin, ret + ROUTE_HEX + 1, UNIQUE_HEX);
    route_by_unique(ret);
}

void run_id_route_by_key(char id[RUN_ID_MAX], struct bytes workflow, struct bytes key)
{
    AUTO_BUF struct buf text = { 0 };
    buf_add(&text, workflow.data, workflow.len);
    buf_add_char(&text, '\0');
    buf_add(&text, key.data, key.len);
    hash_hex(buf_bytes(&text), id, ROUTE_HEX);
    id[ROUTE_HEX] = '-';
}

bool run_id_check(struct bytes id)
{
    return id.len == RUN_ID_MAX - 1 && id.data[ROUTE_HEX] == '-' &&
           hex_check((struct bytes){ id.data, ROUTE_HEX }) &&
           hex_check((struct bytes){ id.data + ROUTE_HEX + 1, UNIQUE_HEX });
}

void task_id_make(char ret[TASK_ID_MAX], struct bytes run_id, struct bytes path, uint32_t attempt)
{
    AUTO_BUF struct buf text = { 0 };
    buf_add(&text, run_id.data, run_id.len);
    buf_add_char(&text, '/');
    buf_add(&text, path.data, path.len);
    buf_add_char(&text, '/');
    buf_add_int(&text, attempt);
    hash_hex(buf_bytes(&text), ret, TASK_ID_HEX);
    ret[TASK_ID_HEX] = '\0';
}
