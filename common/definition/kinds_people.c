/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that wait for people, for time, or for a signal.
 */
#include <stdlib.h>

#include "common/definition/kinds.h"

static void read_editable(struct node n, struct approval_def *a)
{
    if (!n.value || !is_array(n, "'editable' (names of members of 'show')")) return;
    size_t count = json_array_size(n.value);
    const char **names = memory_own(n.c->memory, xcalloc(count + 1, sizeof *names), free);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(n, i);
        if (json_is_string(item.value))
            names[i] = json_string_value(item.value);
        else
            fault(item, "'editable' names members of 'show'");
    }
    a->editable = names;
    a->editable_count = (uint32_t)count;
}

/* Whether an entry may stand for several people: a role, or a template. */
static bool names_groups(const json_t *approvers)
{
    for (size_t i = 0; i < json_array_size(approvers); i++) {
        const char *text = json_string_value(json_array_get(approvers, i));
        if (text && (strncmp(text, "role:", 5) == 0 || strstr(text, "${"))) return true;
    }
    return false;
}

/* approvers, quorum, timeout, on_timeout, escalate_to: of a step or of `escalate`. */
static void read_asked(struct node n, struct approval_def *a)
{
    static const char *const words[] = { "reject", "approve", "escalate" };
    struct node approvers = node_get(n, "approvers"), to = node_get(n, "escalate_to");
    struct node on_timeout = node_get(n, "on_timeout");
    a->quorum = 1;
    if (approvers.value) a->approvers = read_list(approvers);
    if (to.value) a->escalate_to = read_list(to);
    (void)read_u32(n, "quorum", 1, QUORUM_MAX, &a->quorum);
    size_t named = json_array_size(approvers.value);
    if (named && a->quorum > named && !names_groups(approvers.value))
        fault(node_get(n, "quorum"), "'quorum' is %u, but there are only %zu 'approvers'",
              a->quorum, named);
    (void)read_duration(n, "timeout", &a->timeout_ms);
    if (!on_timeout.value) return;
    unsigned chosen = read_word(on_timeout, words, ARRAY_LEN(words));
    a->on_timeout = chosen == 1   ? ON_TIMEOUT_APPROVE
                    : chosen == 2 ? ON_TIMEOUT_ESCALATE
                                  : ON_TIMEOUT_REJECT;
    if (!json_object_get(n.value, "timeout"))
        fault_key(on_timeout, "'on_timeout' needs a 'timeout'");
    if (chosen == 2 && !to.value)
        fault(on_timeout, "'on_timeout: escalate' needs 'escalate_to', who is asked next");
}

void compile_approval(struct node n, struct step_def *s)
{
    struct approval_def *a = memory_own(n.c->memory, xcalloc(1, sizeof *a), free);
    struct node show = node_get(n, "show");
    read_asked(n, a);
    if (show.value) a->show = read_template(show, 0);
    read_editable(node_get(n, "editable"), a);
    s->approval = a;
}

const struct approval_def *read_escalation(struct node n)
{
    static const char *const members[] = { "approvers", "quorum", "timeout", "on_timeout",
                                           "escalate_to" };
    struct approval_def *a = memory_own(n.c->memory, xcalloc(1, sizeof *a), free);
    a->quorum = 1;
    if (json_is_object(n.value)) {
        check_members(n, "'escalate'", members, ARRAY_LEN(members), NULL, 0);
        read_asked(n, a);
    } else {
        a->approvers = read_list(n);
    }
    return a;
}

/* A duration that may be a template: as it is in the file if it is none. */
static struct template *read_wait_for(struct node n, struct node step)
{
    const char *text = json_string_value(n.value);
    int64_t ms;
    if (!(text && strstr(text, "${")) && !read_duration(step, "for", &ms)) return NULL;
    return read_template(n, 0);
}

void compile_wait(struct node n, struct step_def *s)
{
    struct node duration = node_get(n, "for"), until = node_get(n, "until");
    struct node signal = node_get(n, "signal"), match = node_get(n, "match");
    int given = !!duration.value + !!until.value + !!signal.value;
    if (given != 1) {
        fault(n, "a step of type wait needs one of 'for' (a duration), 'until' (a time), 'signal'");
        return;
    }
    if (duration.value) s->wait_for = read_wait_for(duration, n);
    if (until.value) s->wait_until = read_template(until, 0);
    if (signal.value && check_name(signal, "'signal'")) {
        s->signal = json_string_value(signal.value);
        n.c->signals = true;
    }
    if (match.value) s->match = read_cel(match, ROOT_SIGNAL);
    if (match.value && !signal.value) fault_key(match, "'match' goes with 'signal'");
    struct node timeout = node_get(n, "timeout");
    if (timeout.value && !signal.value)
        fault_key(timeout, "'timeout' goes with 'signal'; the others end by themselves");
    s->wait_timeout_ms = s->timeout_ms;
}
