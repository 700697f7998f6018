/* SPDX-License-Identifier: Apache-2.0 */
#include "common/proto/ledger.h"

struct bytes line_name(struct bytes route, char ret[LINE_NAME_LEN])
{
    memcpy(ret, "k:", 2);
    memcpy(ret + 2, route.data, ROUTE_HEX);
    return (struct bytes){ .data = ret, .len = LINE_NAME_LEN };
}

size_t line_count(struct bytes line)
{
    return line.len / sizeof(struct place);
}

const struct place *line_place(struct bytes line, size_t i)
{
    return (const struct place *)(const void *)(line.data + i * sizeof(struct place));
}

void place_run_id(struct bytes route, const struct place *place, char ret[RUN_ID_MAX])
{
    memcpy(ret, route.data, ROUTE_HEX);
    ret[ROUTE_HEX] = '-';
    memcpy(ret + ROUTE_HEX + 1, place->unique, UNIQUE_HEX);
    ret[RUN_ID_MAX - 1] = '\0';
}
