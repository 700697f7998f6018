/* SPDX-License-Identifier: Apache-2.0
 *
 * The workflows of the simulated installation: some written by hand, each for what it is named
 * after, and many generated ones. Definitions never change, so each is compiled once for all seeds
 * of a process. */
#include "sim/shapes.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/user.h"
#include "sim/world.h"

/* The tool answers {"answer": 0 to 999, "n": 0 to 2}. noop answers its input. */
static const char *const shape_texts[] = {
    "{workflow: line, version: 1.0.0, retention: 6s, steps: ["
    "{name: a, type: task, uses: tool}, {name: b, type: task, uses: tool},"
    "{name: c, type: task, uses: noop}]}",

    "{workflow: fan, version: 1.0.0, retention: 8s, steps: [{name: f, type: parallel, branches: {"
    "x: [{name: x1, type: task, uses: tool}, {name: x2, type: task, uses: noop}],"
    "y: [{name: y1, type: task, uses: tool}], z: [{name: z1, type: task, uses: noop}]}},"
    "{name: e, type: task, uses: tool}]}",

    "{workflow: any, version: 1.0.0, retention: 30s, steps: [{name: f, type: parallel, join: any,"
    "branches: {x: [{name: x1, type: task, uses: tool}], y: [{name: y1, type: task, uses: tool}]}},"
    "{name: e, type: task, uses: noop}]}",

    "{workflow: choose, version: 1.0.0, steps: [{name: a, type: task, uses: tool},"
    "{name: c, type: conditional, cases: ["
    "{when: 'steps.a.output.n == 0', steps: [{name: zero, type: task, uses: noop}]},"
    "{when: 'steps.a.output.n == 1', steps: [{name: one, type: task, uses: tool}]}],"
    "else: [{name: s, type: set, vars: {two: 2}}]}, {name: z, type: task, uses: noop}]}",

    "{workflow: retry, version: 1.0.0, steps: [{name: a, type: task, uses: tool, timeout: 2s,"
    "retry: {max_attempts: 5, initial: 100ms, max: 1s}}, {name: b, type: task, uses: tool,"
    "timeout: 1s, retry: {max_attempts: 3, backoff: fixed, initial: 200ms}, on_error: continue}]}",

    "{workflow: fall, version: 1.0.0, steps: [{name: a, type: task, uses: tool, timeout: 500ms,"
    "retry: {max_attempts: 2, initial: 50ms}, on_error: {fallback: "
    "[{name: fa, type: task, uses: noop}]}}, {name: b, type: task, uses: tool}]}",

    ("{workflow: hasty, version: 1.0.0, limits: {timeout: 20s}, steps: ["
     "{name: a, type: task, uses: tool}, {name: b, type: task, uses: tool, timeout: 1s}]}"),

    "{workflow: many, version: 1.0.0, retention: 10s, limits: {max_parallel: 3}, steps: ["
    "{name: m, type: map, over: '${[1, 2, 3, 4, 5]}', max_concurrent: 4, on_item_error: collect,"
    "steps: [{name: a, type: task, uses: tool, timeout: 1s, input: ['${item}', '${index}'],"
    "retry: {max_attempts: 2, initial: 50ms}}, {name: l, type: loop, max_iterations: 3,"
    "until: 'steps.t.output.n == 0', steps: [{name: t, type: task, uses: tool}]}],"
    "reduce: [{name: r, type: task, uses: noop, input: '${results}'}]}]}",

    "{workflow: graph, version: 1.0.0, retention: 8s, steps: ["
    "{name: d, type: task, uses: noop, needs: [b, c], input: '${steps.b.output.n}'},"
    "{name: b, type: task, uses: tool, needs: [a]}, {name: c, type: map, needs: [a],"
    "over: '${[steps.a.output.n, 2]}', steps: [{name: x, type: task, uses: tool}]},"
    "{name: a, type: task, uses: tool}]}",
};
#define WRITTEN ARRAY_LEN(shape_texts)
_Static_assert(WRITTEN == SHAPES_WRITTEN, "shapes.h says how many there are");

static _Thread_local struct definition *shapes[SHAPES];
static _Thread_local struct map by_sha;

const struct definition *shape(size_t i)
{
    ASSERT(i < SHAPES);
    if (shapes[i]) return shapes[i];
    AUTO_BUF struct buf text = { 0 };
    struct faults faults = { 0 };
    if (i < WRITTEN)
        buf_add_text(&text, shape_texts[i]);
    else
        generate((uint32_t)(i - WRITTEN), &text);
    shapes[i] = definition_parse(buf_bytes(&text), &faults);
    if (!shapes[i]) fprintf(stderr, "shape %zu: %s\n%s\n", i, faults.list[0].text, text.data);
    ASSERT(shapes[i]);
    faults_done(&faults);
    map_put(&by_sha, bytes_of(shapes[i]->sha256), shapes[i]);
    return shapes[i];
}

bool shape_has(const struct definition *def, enum step_kind kind)
{
    for (uint32_t i = 0; i < def->step_count; i++)
        if (def->steps[i].kind == kind) return true;
    return false;
}

/* The user's own, where there is one. Who compiles and frees definitions is a process. */
static const struct definition *users(void)
{
    const struct proc *p = proc_current();
    return p && p->world->options.user ? p->world->options.user->def : NULL;
}

/* The linker sends the product's calls here (--wrap): what is compiled already is shared. */
struct definition *__real_definition_load(struct bytes canonical, const char *sha256,
                                          struct err *e);
struct definition *__wrap_definition_load(struct bytes canonical, const char *sha256,
                                          struct err *e);
struct definition *__real_definition_free(struct definition *d);
struct definition *__wrap_definition_free(struct definition *d);

struct definition *__wrap_definition_load(struct bytes canonical, const char *sha256, struct err *e)
{
    const struct definition *own = users();
    if (own && sha256 && strcmp(own->sha256, sha256) == 0) return (struct definition *)own;
    struct definition *known = sha256 ? map_get(&by_sha, bytes_of(sha256)) : NULL;
    return known ? known : __real_definition_load(canonical, sha256, e);
}

struct definition *__wrap_definition_free(struct definition *d)
{
    if (!d || d == users() || map_get(&by_sha, bytes_of(d->sha256)) == d) return NULL;
    return __real_definition_free(d);
}

void shapes_free(void)
{
    for (size_t i = 0; i < SHAPES; i++) shapes[i] = __real_definition_free(shapes[i]);
    map_done(&by_sha);
}
