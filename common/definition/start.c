/* SPDX-License-Identifier: Apache-2.0 */
#include "common/definition/start.h"

static bool resolve_event(void *user, const char *const *names, size_t count, size_t *ret_used,
                          json_t **ret, struct err *e)
{
    (void)count;
    if (strcmp(names[0], "event") != 0)
        return err_fail(e, ERR_INVALID, "unknown name '%s': a trigger sees only 'event'", names[0]);
    *ret_used = 1;
    *ret = json_incref(user);
    return true;
}

struct template_env event_env(json_t *event)
{
    return (struct template_env){ .cel = { .resolve = resolve_event, .user = event } };
}

void start_headers(const struct definition *def, const char *run_id, const char *actor,
                   struct bytes ret[HEADER_COUNT])
{
    memset(ret, 0, HEADER_COUNT * sizeof *ret);
    ret[HEADER_V] = BYTES_LIT(MESSAGE_VERSION);
    ret[HEADER_TYPE] = bytes_of(event_type_name(EVENT_RUN_START));
    ret[HEADER_RUN_ID] = bytes_of(run_id);
    ret[HEADER_DEFINITION] = bytes_of(def->sha256);
    ret[HEADER_WORKFLOW] = bytes_of(def->name);
    ret[HEADER_VERSION] = bytes_of(def->version);
    ret[HEADER_ACTOR] = bytes_of(actor);
}
