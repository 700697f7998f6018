/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading what people say: {approve: true, by, comment, values, after}, {reject: true, ...},
 * {signal: DATA, after}. */
#include "sim/answers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"

/* A member of an entry is at fault; member NULL: the entry. */
static PRINTF_LIKE(5, 6) bool fault(const struct mocks_place *at, const char *name,
                                    const char *member, struct err *e, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    AUTO_FREE char *pointer = xasprintf("/%s%s%s", name, member ? "/" : "", member ? member : "");
    return positions_fail(at->positions, at->path, pointer, e, "%s", text);
}

static bool known_members(const json_t *entry, const char *const *known, size_t count,
                          const char *name, const struct mocks_place *at, struct err *e)
{
    const char *member;
    json_t *value;
    json_object_foreach((json_t *)entry, member, value) {
        bool found = false;
        for (size_t i = 0; i < count; i++) found |= strcmp(member, known[i]) == 0;
        if (!found)
            return fault(at, name, member, e, "'%s' is not known here; %s or %s wants %s", member,
                         known[0], known[1], count > 2 ? "by, comment, values, after" : "after");
    }
    return true;
}

static bool read_after(const json_t *entry, const char *name, const struct mocks_place *at,
                       struct answer *ret, struct err *e)
{
    const json_t *after = json_object_get(entry, "after");
    const char *text = json_string_value(after);
    if (!after || (text && duration_parse(text, &ret->after_ms))) return true;
    return fault(at, name, "after", e, "after is a duration, as 250ms, 30s or 2m");
}

static bool read_vote(const json_t *entry, const char *name, const struct mocks_place *at,
                      struct answer *ret, struct err *e)
{
    static const char *const known[] = { "approve", "reject", "by", "comment", "values", "after" };
    bool approve = json_is_true(json_object_get(entry, "approve"));
    bool reject = json_is_true(json_object_get(entry, "reject"));
    if (approve == reject)
        return fault(at, name, NULL, e, "%s asks people: approve: true or reject: true is needed",
                     name);
    if (!known_members(entry, known, ARRAY_LEN(known), name, at, e)) return false;
    static const char *const texts[] = { "by", "comment" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const json_t *text = json_object_get(entry, texts[i]);
        if (text && !json_is_string(text))
            return fault(at, name, texts[i], e, "%s is a text", texts[i]);
    }
    ret->kind = approve ? ANSWER_APPROVE : ANSWER_REJECT;
    ret->value = json_incref((json_t *)(uintptr_t)entry);
    return true;
}

static bool read_signal(const json_t *entry, const char *name, const struct mocks_place *at,
                        struct answer *ret, struct err *e)
{
    static const char *const known[] = { "signal", "after" };
    json_t *payload = json_object_get(entry, "signal");
    if (!payload)
        return fault(at, name, NULL, e, "%s waits for a signal: signal: DATA is needed", name);
    if (!known_members(entry, known, ARRAY_LEN(known), name, at, e)) return false;
    ret->kind = ANSWER_SIGNAL;
    ret->value = json_incref(payload);
    return true;
}

bool answers_take(struct answers *ret, const struct definition *def, json_t *mocks,
                  const struct mocks_place *at, struct err *e)
{
    const char *name;
    json_t *entry;
    void *next;
    json_object_foreach_safe(mocks, next, name, entry)
    {
        const struct step_def *step = definition_step(def, bytes_of(name));
        bool asks = step && step->kind == STEP_APPROVAL;
        if (!asks && !(step && step->kind == STEP_WAIT && step->signal)) continue;
        struct answer a = { .step = step };
        if (!(asks ? read_vote : read_signal)(entry, name, at, &a, e)) return false;
        ret->list = xrealloc(ret->list, (ret->count + 1) * sizeof *ret->list);
        ret->list[ret->count++] = a;
        if (!read_after(entry, name, at, &ret->list[ret->count - 1], e)) return false;
        json_object_del(mocks, name);
    }
    return true;
}

void answers_done(struct answers *a)
{
    for (size_t i = 0; i < a->count; i++) json_decref(a->list[i].value);
    free(a->list);
    *a = (struct answers){ 0 };
}

const struct answer *answers_find(const struct answers *a, const struct step_def *step)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->list[i].step == step) return &a->list[i];
    return NULL;
}
