/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking people: human_approval, and on_error: escalate. While they are asked, the step's payload
 * (q:<path>) is what they see and have said so far:
 *
 *   {"approvers": [names] or null, "quorum": n, "show": value, "round": 1 or 2,
 *    "votes": [{"by", "comment"}, ...], "values": show with what was edited}
 *
 * Who may say that he is a person or has a role is for those to judge who write the event. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/mutant.h"

#define COMMENT_BYTES_MAX 4000

static const struct approval_def *asked_of(const struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    return step_get(f, index)->flags & STEP_ESCALATED ? d->escalation : d->approval;
}

/* --- asking --- */

/* A list of names, of a template that makes one or a single text; JSON null: anybody. */
static bool read_people(struct fold *f, uint32_t index, const struct template *t, json_t **ret,
                        struct err *e)
{
    struct template_env env = names_env(f, index);
    json_t *value = NULL;
    if (!t) {
        *ret = json_null();
        return true;
    }
    if (!template_eval_json(t, &env, &value, e)) return err_prefix(e, "approvers");
    AUTO_JSON *people = value;
    if (json_is_string(people)) {
        json_t *one = json_pack("[O]", people);
        json_decref(people);
        people = one;
    }
    bool ok = json_array_size(people) > 0;
    for (size_t i = 0; i < json_array_size(people); i++)
        ok = ok && json_is_string(json_array_get(people, i));
    *ret = ok ? json_incref(people) : NULL;
    return ok || err_fail(e, ERR_INVALID, "approvers: the value is not a list of names");
}

static bool read_show(struct fold *f, uint32_t index, const struct approval_def *a, json_t **ret,
                      struct err *e)
{
    const struct step_def *before = definition_before(f->def, index);
    struct template_env env = names_env(f, index);
    if (a->show) return template_eval_json(a->show, &env, ret, e) || err_prefix(e, "show");
    *ret = before ? json_parse(step_output(f, before->index), e) : json_null();
    return *ret != NULL;
}

static void set_state(struct fold *f, uint32_t index, const json_t *state)
{
    AUTO_BUF struct buf text = { 0 };
    json_write(&text, state);
    step_set_payload(f, index, buf_bytes(&text));
}

/* state is taken over. */
static void ask(struct fold *f, uint32_t index, const struct approval_def *a, uint8_t flags,
                json_t *state)
{
    AUTO_JSON *owned = state;
    struct step *s = step_move(f, index, STEP_STATE_WAITING, NULL);
    s->flags |= (uint8_t)(STEP_ASKING | flags);
    run_aside(f->run)->asked++;
    s->at_ms = a->timeout_ms ? f->now_ms + a->timeout_ms : 0;
    timed_update(f->run, step_scope(f, index), index, s);
    set_state(f, index, owned);
}

void approval_start(struct fold *f, uint32_t index)
{
    const struct approval_def *a = f->def->steps[index].approval;
    struct err e = { 0 };
    json_t *people = NULL, *show = NULL;
    bool ok = read_people(f, index, a->approvers, &people, &e) && read_show(f, index, a, &show, &e);
    AUTO_JSON *seen = show;
    AUTO_JSON *names = people;
    if (!ok) {
        step_fail_evaluation(f, index, &e);
        return;
    }
    ask(f, index, a, 0,
        json_pack("{s:O, s:i, s:O, s:i, s:[], s:O}", "approvers", names, "quorum", (int)a->quorum,
                  "show", seen, "round", 1, "votes", "values", seen));
}

/* Approvers that cannot be made out are no reason to lose the error: then anybody may decide. */
void escalation_start(struct fold *f, uint32_t index)
{
    const struct approval_def *a = f->def->steps[index].escalation;
    struct err e;
    json_t *people = NULL;
    if (!read_people(f, index, a->approvers, &people, &e)) people = json_null();
    json_t *error = json_parse(step_error(f, index), &e);
    ask(f, index, a, STEP_ESCALATED,
        json_pack("{s:o, s:i, s:o, s:i, s:[], s:n}", "approvers", people, "quorum", (int)a->quorum,
                  "show", error ? error : json_null(), "round", 1, "votes", "values"));
}

/* --- deciding --- */

static void reject(struct fold *f, uint32_t index, struct bytes message, const json_t *details)
{
    AUTO_BUF struct buf text = { 0 }, copy = { 0 };
    if (step_get(f, index)->flags & STEP_ESCALATED) {
        struct bytes error = step_error(f, index);
        buf_add(&copy, error.data, error.len);
        step_give_up(f, index, buf_bytes(&copy));
        return;
    }
    if (details) json_write(&text, details);
    struct failure failure = { .type = ERROR_REJECTED,
                               .message = message,
                               .details = buf_bytes(&text) };
    step_fail_with(f, index, &failure);
}

/* given: what stands for an escalated step's output; NULL: null. */
static void approve(struct fold *f, uint32_t index, const json_t *state, const json_t *given)
{
    AUTO_BUF struct buf output = { 0 };
    if (step_get(f, index)->flags & STEP_ESCALATED) {
        json_write(&output, given ? given : json_null());
        step_complete(f, index, buf_bytes(&output));
        return;
    }
    AUTO_JSON *by = json_array();
    const json_t *votes = json_object_get(state, "votes"), *comment = NULL;
    for (size_t i = 0; i < json_array_size(votes); i++) {
        const json_t *vote = json_array_get(votes, i);
        json_array_append(by, json_object_get(vote, "by"));
        comment = json_object_get(vote, "comment");
    }
    AUTO_JSON *result =
        json_pack("{s:s, s:O, s:O, s:O}", "decision", "approved", "by", by, "comment",
                  comment ? comment : json_null(), "values", json_object_get(state, "values"));
    json_write(&output, result);
    step_complete(f, index, buf_bytes(&output));
}

/* Those who are next are asked for as long again. false: there are none, or they could not be made
 * out. */
static bool ask_next(struct fold *f, uint32_t index, const struct approval_def *a, json_t *state)
{
    struct err e;
    json_t *people = NULL;
    if (a->on_timeout != ON_TIMEOUT_ESCALATE || json_int(state, "round", 1) > 1 ||
        !read_people(f, index, a->escalate_to, &people, &e))
        return false;
    struct step *s = step_get(f, index);
    json_object_set_new(state, "approvers", people);
    json_object_set_new(state, "round", json_integer(2));
    s->at_ms = f->now_ms + a->timeout_ms;
    timed_update(f->run, step_scope(f, index), index, s);
    set_state(f, index, state);
    return true;
}

static json_t *state_of(const struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    return json_parse((struct bytes){ .data = s->payload, .len = s->payload_len }, NULL);
}

void approval_timed_out(struct fold *f, uint32_t index)
{
    const struct approval_def *a = asked_of(f, index);
    AUTO_JSON *state = state_of(f, index);
    if (state && a->on_timeout == ON_TIMEOUT_APPROVE)
        approve(f, index, state, NULL);
    else if (!state || !ask_next(f, index, a, state))
        reject(f, index, BYTES_LIT("nobody has decided in time"), NULL);
}

/* --- an answer --- */

/* Whether the list names the person, or a role that he is said to have. */
static bool may_answer(const json_t *approvers, const char *who, const json_t *roles)
{
    if (!json_is_array(approvers)) return true;
    for (size_t i = 0; i < json_array_size(approvers); i++) {
        const char *name = json_string_value(json_array_get(approvers, i));
        if (name && strcmp(name, who) == 0) return true;
        for (size_t k = 0; name && strncmp(name, "role:", 5) == 0 && k < json_array_size(roles);
             k++) {
            const char *role = json_string_value(json_array_get(roles, k));
            if (role && strcmp(role, name + 5) == 0) return true;
        }
    }
    return false;
}

static bool has_voted(const json_t *state, const char *who)
{
    const json_t *votes = json_object_get(state, "votes");
    for (size_t i = 0; i < json_array_size(votes); i++) {
        const char *by = json_text(json_array_get(votes, i), "by");
        if (by && strcmp(by, who) == 0) return true;
    }
    return false;
}

/* Members of `show` that may be changed take the values given. */
static void edit(const struct approval_def *a, json_t *state, const json_t *values)
{
    json_t *now = json_object_get(state, "values");
    if (!json_is_object(now) || !json_is_object(values)) return;
    AUTO_JSON *edited = json_copy(now);
    for (uint32_t i = 0; i < a->editable_count; i++) {
        json_t *value = json_object_get(values, a->editable[i]);
        if (value && json_object_get(now, a->editable[i]))
            json_object_set(edited, a->editable[i], value);
    }
    json_object_set(state, "values", edited);
}

static json_t *vote_of(const char *who, const json_t *answer)
{
    const char *comment = json_text(answer, "comment");
    if (comment && strlen(comment) > COMMENT_BYTES_MAX) comment = NULL;
    return json_pack("{s:s, s:s?}", "by", who, "comment", comment);
}

/* The step is tried again with as many attempts as at first. */
static void try_again(struct fold *f, uint32_t index)
{
    struct step *s = step_get(f, index);
    if (!step_kind_is_task(f->def->steps[index].kind) || s->attempt >= ATTEMPTS_MAX) return;
    if (s->choice) return; /* a router's answer was good, and the steps of its choice are over */
    s->base = s->attempt;
    /* Who decides so knows that it is a new request. */
    if (s->definite < UINT8_MAX) s->definite++;
    s->flags &= (uint8_t) ~(STEP_ASKING | STEP_ESCALATED);
    f->run->aside->asked--;
    step_set_payload(f, index, (struct bytes){ 0 });
    step_issue(f, index, false);
}

static void answer_apply(struct fold *f, uint32_t index, const char *who, const json_t *answer)
{
    const struct approval_def *a = asked_of(f, index);
    AUTO_JSON *state = state_of(f, index);
    const char *decision = json_text(answer, "decision");
    bool escalated = step_get(f, index)->flags & STEP_ESCALATED;
    if (!state || !decision || (has_voted(state, who) && !MUTANT(VOTE_TWICE)) ||
        !may_answer(json_object_get(state, "approvers"), who, json_object_get(answer, "roles")))
        return;
    AUTO_JSON *vote = vote_of(who, answer);
    if (strcmp(decision, "reject") == 0) {
        const char *comment = json_text(vote, "comment");
        reject(f, index, comment ? bytes_of(comment) : BYTES_LIT("it was rejected"), vote);
    } else if (strcmp(decision, "retry") == 0 && escalated) {
        try_again(f, index);
    } else if (strcmp(decision, "approve") == 0) {
        json_t *votes = json_object_get(state, "votes");
        json_array_append(votes, vote);
        edit(a, state, json_object_get(answer, "values"));
        if (json_array_size(votes) >= a->quorum)
            approve(f, index, state, json_object_get(answer, "output"));
        else
            set_state(f, index, state);
    }
}

void approval_apply(struct fold *f, const struct event *ev)
{
    const struct step_def *gone, *d = path_find(f, ev->path, &gone);
    const struct step *s = d ? step_get(f, d->index) : NULL;
    if (s && s->flags & STEP_ASKING && ev->actor.len) {
        AUTO_JSON *answer = json_parse(ev->value, NULL);
        AUTO_FREE char *who = xstrndup(ev->actor.data, ev->actor.len);
        answer_apply(f, d->index, who, answer);
        if (f->touched) scope_mark(f->scope);
    }
    f->scope = f->run->root;
}
