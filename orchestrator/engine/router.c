/* SPDX-License-Identifier: Apache-2.0
 *
 * router: a model call whose answer {"choice": name} picks one of several lists of steps. */
#include "orchestrator/engine/state.h"

static void take(struct fold *f, uint32_t index, uint32_t choice)
{
    const struct step_def *d = &f->def->steps[index];
    struct step *s = step_move(f, index, STEP_STATE_WAITING, NULL);
    s->choice = choice + 1;
    if (s->payload) step_set_payload(f, index, (struct bytes){ 0 });
    step_set_result(f, index, (struct bytes){ 0 });
    for (uint32_t i = 0; i < d->choice_count; i++)
        if (i != choice) block_sweep(f, d->choices[i].block);
}

/* The answer fits the schema that was made of the choices. */
void router_chosen(struct fold *f, uint32_t index, struct bytes output)
{
    const struct step_def *d = &f->def->steps[index];
    AUTO_JSON *answer = json_parse(output, NULL);
    const char *name = json_text(answer, "choice");
    uint32_t choice = 0;
    while (choice < d->choice_count && name && strcmp(d->choices[choice].name, name) != 0) choice++;
    ASSERT(name && choice < d->choice_count);
    take(f, index, choice);
}

bool router_default(struct fold *f, uint32_t index, struct bytes error)
{
    const uint64_t of_answers = 1ull << ERROR_INVALID_OUTPUT | 1ull << ERROR_REFUSED |
                                1ull << ERROR_FILTERED | 1ull << ERROR_TRUNCATED;
    const struct step_def *d = &f->def->steps[index];
    const struct step *s = step_get(f, index);
    char name[32];
    enum error_type type;
    failure_type(error, name);
    if (d->default_block == NO_INDEX || !s || s->state != STEP_STATE_ISSUED ||
        !error_type_find(bytes_of(name), &type) || !(of_answers >> type & 1))
        return false;
    uint32_t choice = 0;
    while (d->choices[choice].block != d->default_block) choice++;
    take(f, index, choice);
    return true;
}

void router_continue(struct fold *f, uint32_t index)
{
    const struct choice_def *choice = &f->def->steps[index].choices[step_get(f, index)->choice - 1];
    enum flow flow = block_run(f, choice->block);
    if (flow == FLOW_BUSY || f->stop) return;
    AUTO_BUF struct buf copy = { 0 };
    if (flow == FLOW_FAILED) {
        struct bytes error = step_error(f, f->failed);
        buf_add(&copy, error.data, error.len);
        step_fail(f, index, buf_bytes(&copy));
        return;
    }
    struct bytes output = block_output(f, choice->block);
    buf_add_text(&copy, "{\"choice\":");
    buf_add_json_string(&copy, choice->name, strlen(choice->name));
    buf_add_text(&copy, ",\"output\":");
    buf_add(&copy, output.data, output.len);
    buf_add_char(&copy, '}');
    step_complete(f, index, buf_bytes(&copy));
}
