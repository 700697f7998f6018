/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens after an error, and what undoes a step: on_error, catch, compensate.
 */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"

/* on_error as a mapping: {fallback: steps} or {escalate: approvers}. */
static void read_handler_of(struct node n, uint32_t step, struct on_error_def *ret)
{
    static const char *const members[] = { "fallback", "escalate" };
    check_members(n, "'on_error'", members, ARRAY_LEN(members), NULL, 0);
    struct node list = node_get(n, "fallback"), people = node_get(n, "escalate");
    if (list.value && people.value)
        fault_key(people, "'escalate' and 'fallback' exclude each other");
    if (list.value) {
        ret->kind = ON_ERROR_FALLBACK;
        ret->block = compile_list(list, NULL, step, false);
    } else if (people.value) {
        ret->kind = ON_ERROR_ESCALATE;
        ret->escalation = read_escalation(people);
    } else if (json_object_size(n.value) == 0) {
        fault(n, "'on_error' needs 'fallback' with steps, or 'escalate' with approvers");
    }
}

struct on_error_def read_on_error(struct node object, uint32_t step)
{
    /* A run has nothing to continue with after its last step has failed. */
    static const char *const words[] = { "fail", "rollback", "continue" };
    struct on_error_def ret = { .kind = ON_ERROR_FAIL, .block = NO_INDEX };
    struct node n = node_get(object, "on_error");
    if (!n.value) return ret;
    if (json_is_object(n.value)) {
        read_handler_of(n, step, &ret);
        return ret;
    }
    unsigned chosen = read_word(n, words, step == NO_INDEX ? 2 : 3);
    ret.kind = chosen == 1 ? ON_ERROR_ROLLBACK : chosen == 2 ? ON_ERROR_CONTINUE : ON_ERROR_FAIL;
    return ret;
}

/* One of `catch`; false after a fault that leaves none. */
static bool read_catch(struct node n, struct step_def *s, struct catch_def *ret)
{
    static const char *const members[] = { "on", "steps" };
    if (!is_object(n, "a catch")) return false;
    check_members(n, "a catch", members, ARRAY_LEN(members), NULL, 0);
    struct node on = node_get(n, "on"), steps = node_get(n, "steps");
    if (!on.value || !steps.value) {
        fault(n, "a catch needs 'on' (error types, or any) and 'steps'");
        return false;
    }
    if (json_is_string(on.value) && strcmp(json_string_value(on.value), "any") == 0)
        ret->on = 0;
    else
        read_error_types(on, &ret->on);
    ret->block = compile_list(steps, NULL, s->index, false);
    return true;
}

static void read_catches(struct node n, struct step_def *s)
{
    if (!n.value || !is_array(n, "'catch'")) return;
    size_t count = json_array_size(n.value);
    if (count == 0) fault(n, "'catch' must not be empty");
    struct catch_def *list = memory_own(n.c->memory, xcalloc(count + 1, sizeof *list), free);
    uint32_t made = 0;
    for (size_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        made += read_catch(node_at(n, i), s, &list[made]);
        if (made && !last && list[made - 1].on == 0)
            fault(node_at(n, i), "this catches any error, so those behind it are never asked");
    }
    s->catches = list;
    s->catch_count = made;
}

static void read_compensate(struct node n, struct step_def *s)
{
    if (!n.value) return;
    if (s->scope)
        fault_key(n,
                  "'compensate' is not supported inside a map or a loop by this version; put it on "
                  "the map or the loop itself");
    s->compensate_block = compile_list(n, NULL, s->index, false);
}

void compile_handlers(struct node n, struct step_def *s)
{
    struct on_error_def on_error = read_on_error(n, s->index);
    s->on_error = on_error.kind;
    s->fallback_block = on_error.block;
    s->escalation = on_error.escalation;
    read_catches(node_get(n, "catch"), s);
    read_compensate(node_get(n, "compensate"), s);
}
