/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a user's workflow, and bending what a seed draws to it. */
#include "sim/user.h"

#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "sim/world.h"

#define FILE_BYTES_MAX (64 * MIB)
#define SEED_STEPS_MAX 20000 /* of all runs: a seed takes seconds then, and is no hang */
#define RETENTION_MS   5000  /* shorter: a doubled start may come after the run has left */

/* --- the definition --- */

static struct definition *parse(const char *path, struct bytes text, struct err *e)
{
    struct faults faults = { 0 };
    struct definition *def = definition_parse(text, &faults);
    if (!def)
        (void)err_fail(e, ERR_INVALID, "%s:%u:%u: %s", path, faults.list[0].line,
                       faults.list[0].column, faults.list[0].text);
    faults_done(&faults);
    return def;
}

/* Whatever comes by a trigger would come from a topic that nobody here writes to. */
static struct definition *without_triggers(struct definition *def, const char *path, struct err *e)
{
    AUTO_JSON *value = json_parse((struct bytes){ def->canonical, def->canonical_len }, e);
    AUTO_BUF struct buf text = { 0 };
    (void)definition_free(def);
    ASSERT(value);
    json_object_del(value, "triggers");
    json_write(&text, value);
    return parse(path, buf_bytes(&text), e);
}

static bool definition_read(struct sim_user *u, const char *path, struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    if (!file_read(path, FILE_BYTES_MAX, &text, e)) return false;
    u->def = parse(path, buf_bytes(&text), e);
    u->triggers = u->def && u->def->trigger_count > 0;
    if (u->triggers) u->def = without_triggers(u->def, path, e);
    return u->def != NULL;
}

static void queues_find(struct sim_user *u)
{
    u->queues = xcalloc(u->def->step_count + 1, sizeof *u->queues);
    u->queues[u->queue_count++] = "default";
    for (size_t i = 0; i < u->def->step_count; i++) {
        const char *queue = u->def->steps[i].queue;
        bool known = queue == NULL;
        for (size_t k = 0; k < u->queue_count && !known; k++)
            known = strcmp(queue, u->queues[k]) == 0;
        if (!known) u->queues[u->queue_count++] = queue;
    }
}

/* --- answers --- */

static void defaults_make(struct sim_user *u)
{
    AUTO_JSON *text = json_parse((struct bytes){ u->def->canonical, u->def->canonical_len }, NULL);
    u->defaults = xcalloc(u->def->step_count, sizeof(json_t *));
    for (size_t i = 0; i < u->def->step_count; i++)
        u->defaults[i] = mock_default(&u->def->steps[i], text);
}

static bool mocks_file_read(struct sim_user *u, const char *path, struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    CLEANUP(positions_free_p) struct positions *positions = NULL;
    uint32_t line = 0, column = 0;
    if (!file_read(path, FILE_BYTES_MAX, &text, e)) return false;
    AUTO_JSON *value = yaml_parse(buf_bytes(&text), &positions, &line, &column, e);
    if (!value) return err_prefix(e, "%s:%u:%u", path, line, column);
    struct mocks_place at = { path, positions };
    return answers_take(&u->answers, u->def, value, &at, e) &&
           mocks_read(&u->mocks, u->def, value, "", 0, &at, e);
}

/* --- all of it --- */

static bool input_read(struct sim_user *u, const char *path, struct err *e)
{
    if (!path)
        buf_add_text(&u->input, "{}");
    else if (!file_read(path, FILE_BYTES_MAX, &u->input, e))
        return false;
    if (u->input.len > PAYLOAD_BYTES_MAX)
        return err_fail(e, ERR_LIMIT, "the input has %zu bytes, the limit is %d", u->input.len,
                        PAYLOAD_BYTES_MAX);
    AUTO_JSON *value = json_parse(buf_bytes(&u->input), e);
    if (!value) return err_prefix(e, "the input");
    if (!u->def->input_schema || schema_check(u->def->input_schema, value, e)) return true;
    return err_prefix(e, "the input does not fit the input schema of %s", u->def->name);
}

bool user_open(struct sim_user *u, const struct user_files *files, struct err *e)
{
    *u = (struct sim_user){ .runs = files->runs, .approve = files->approve };
    if (!definition_read(u, files->workflow, e) || !input_read(u, files->input, e)) return false;
    if ((uint64_t)u->runs * u->def->step_count > SEED_STEPS_MAX)
        return err_fail(e, ERR_LIMIT,
                        "%u runs of %u steps are too many for a seed: at most %d steps", u->runs,
                        u->def->step_count, SEED_STEPS_MAX);
    queues_find(u);
    defaults_make(u);
    return !files->mocks || mocks_file_read(u, files->mocks, e);
}

void user_done(struct sim_user *u)
{
    for (size_t i = 0; u->defaults && i < u->def->step_count; i++) json_decref(u->defaults[i]);
    free(u->defaults);
    mocks_done(&u->mocks);
    answers_done(&u->answers);
    free(u->queues);
    buf_done(&u->input);
    u->def = definition_free(u->def);
}

void user_adjust(struct options *o, const void *user)
{
    const struct sim_user *u = user;
    o->user = u;
    o->runs = u->runs;
    if (o->level == FAULTS_NONE) o->cancels_ppm = o->doubled_ppm = 0;
    if (u->def->retention_ms < RETENTION_MS) o->doubled_ppm = 0;
    /* Runs that sleep through their time-out say nothing of their definition. */
    o->every_us[FAULT_STANDSTILL] = 0;
}
