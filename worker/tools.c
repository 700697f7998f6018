/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tools.h"

#include <stdlib.h>

struct tools {
    int none;
};

struct tools *tools_open(const struct tools_options *o, struct err *e)
{
    (void)o, (void)e;
    return xcalloc(1, sizeof(struct tools));
}

bool tools_reload(struct tools *t, const json_t *models, const char *secrets_dir, struct err *e)
{
    (void)t, (void)models, (void)secrets_dir, (void)e;
    return true;
}

void tools_stop(struct tools *t)
{
    (void)t;
}

struct tools *tools_free(struct tools *t)
{
    free(t);
    return NULL;
}

struct tool_call *tools_start(struct tools *t, const struct tool_input *in, struct outcome *ret_now)
{
    (void)t;
    outcome_fail(ret_now, ERROR_BAD_REQUEST, "no handler %.*s", (int)in->task->uses.len,
                 in->task->uses.data);
    return NULL;
}
