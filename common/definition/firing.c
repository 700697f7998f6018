/* SPDX-License-Identifier: Apache-2.0 */
#include "common/definition/firing.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/definition/start.h"

void schedule_id(const struct definition *def, const struct trigger_def *trigger,
                 char ret[SCHEDULE_ID_MAX])
{
    snprintf(ret, SCHEDULE_ID_MAX, "%s/%s", def->name, trigger->schedule->name);
}

static void start_key(const struct trigger_def *trigger, char ret[NAME_BYTES_MAX + 16])
{
    snprintf(ret, NAME_BYTES_MAX + 16, "schedule/%s", trigger->schedule->name);
}

void schedule_run_id(const struct definition *def, const struct trigger_def *trigger,
                     int64_t planned_ms, char ret[RUN_ID_MAX])
{
    char key[NAME_BYTES_MAX + 16];
    start_key(trigger, key);
    AUTO_BUF struct buf origin = { 0 };
    buf_addf(&origin, "schedule/%s/%s/%" PRId64, def->name, trigger->schedule->name, planned_ms);
    run_id_from_origin(ret, buf_bytes(&origin));
    run_id_route_by_key(ret, bytes_of(def->name), bytes_of(key));
}

/* --- when --- */

/* The oldest of the newest `max` times in (base, now]; -1: there is none. What lies far back is not
 * walked through: the span that is looked at doubles until it holds enough. */
static int64_t oldest_of_newest(const struct cron *cron, const struct zone *zone, int64_t base_ms,
                                int64_t now_ms, uint32_t max)
{
    int64_t ring[SCHEDULE_CATCH_UP_MAX];
    ASSERT(max > 0 && max <= ARRAY_LEN(ring));
    for (int64_t span = (int64_t)max * 60 * SECOND_MS;; span *= 2) {
        int64_t from = MAX(base_ms, now_ms - span);
        uint64_t count = 0;
        for (int64_t t = cron_next_ms(cron, zone, from); t <= now_ms;
             t = cron_next_ms(cron, zone, t))
            ring[count++ % max] = t;
        if (count >= max) return ring[count % max];
        if (from == base_ms) return count ? ring[0] : -1;
    }
}

int64_t schedule_due(const struct schedule_def *schedule, const struct cron *cron,
                     const struct zone *zone, int64_t base_ms, int64_t now_ms, int64_t *ret_next)
{
    int64_t planned = -1;
    bool all = schedule->catch_up == CATCH_UP_ALL;
    *ret_next = cron_next_ms(cron, zone, base_ms);
    if (*ret_next > now_ms) return -1;
    planned = oldest_of_newest(cron, zone, base_ms, now_ms, all ? schedule->catch_up_max : 1);
    bool late = now_ms - planned >= SCHEDULE_LATE_MS;
    if (planned >= 0 && !(late && schedule->catch_up == CATCH_UP_NONE)) return planned;
    *ret_next = cron_next_ms(cron, zone, now_ms);
    return -1;
}

/* --- a start --- */

void firing_done(struct firing *f)
{
    buf_done(&f->input);
}

bool firing_make(const struct definition *def, const struct trigger_def *trigger,
                 int64_t planned_ms, struct firing *ret, struct err *e)
{
    char id[SCHEDULE_ID_MAX], time[TIME_TEXT_MAX];
    schedule_id(def, trigger, id);
    schedule_run_id(def, trigger, planned_ms, ret->run_id);
    start_key(trigger, ret->key);
    time_format(planned_ms, time);
    if (!trigger->input) {
        AUTO_JSON *input = json_pack("{s:s, s:s}", "schedule", id, "scheduled_at", time);
        json_write(&ret->input, input);
        return true;
    }
    AUTO_JSON *event = json_pack("{s:s, s:s}", "schedule", id, "time", time);
    struct template_env env = event_env(event);
    if (!template_eval(trigger->input, &env, PAYLOAD_BYTES_MAX, &ret->input, e))
        return err_prefix(e, "input of schedule %s", id);
    return json_check(buf_bytes(&ret->input)) ||
           err_fail(e, ERR_LIMIT, "input of schedule %s: it nests deeper than %d levels", id,
                    JSON_DEPTH_MAX);
}

void firing_headers(const struct definition *def, enum start_policy policy, const struct firing *f,
                    struct bytes ret[HEADER_COUNT])
{
    start_headers(def, f->run_id, "schedule", ret);
    ret[HEADER_KEY] = bytes_of(f->key);
    ret[HEADER_POLICY] = bytes_of(start_policy_name(policy));
}
