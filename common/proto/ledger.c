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

void schedule_name(struct buf *ret, struct bytes id)
{
    buf_add_text(ret, "s:");
    buf_add(ret, id.data, id.len);
}

void schedule_encode(struct buf *ret, const struct schedule_state *state)
{
    buf_add_int(ret, state->last_ms);
    buf_add_char(ret, ' ');
    buf_add_char(ret, (char)state->paused);
}

struct schedule_state schedule_decode(struct bytes text)
{
    struct schedule_state ret = { .paused = SCHEDULE_BY_DEFINITION };
    int64_t last = 0;
    size_t i = 0;
    for (; i < text.len && i < 18 && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        last = 10 * last + (text.data[i] - '0');
    if (i == 0 || i + 2 != text.len || text.data[i] != ' ') return ret;
    ret.last_ms = last;
    char paused = text.data[i + 1];
    if (paused == SCHEDULE_PAUSED) ret.paused = SCHEDULE_PAUSED;
    if (paused == SCHEDULE_RESUMED) ret.paused = SCHEDULE_RESUMED;
    return ret;
}
