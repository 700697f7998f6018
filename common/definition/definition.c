/* SPDX-License-Identifier: Apache-2.0
 *
 * The entry: text to canonical form, canonical form to a compiled definition. The definition that
 * is returned is always compiled from the canonical form, so that everyone who has the same hash
 * has the same structure, to the last index.
 */
#include "common/definition/definition.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"

static void release_json(void *p)
{
    json_decref(p);
}

struct definition *definition_free(struct definition *d)
{
    if (!d) return NULL;
    struct memory *memory = d->memory;
    memory_done(memory);
    free(memory);
    free(d);
    return NULL;
}

/* Compiles a value, which is taken over. There may be faults in the result: then it is good for
 * nothing but to be released. */
static struct definition *compile(json_t *value, const struct positions *positions,
                                  struct bytes text, struct faults *faults, struct faults *warnings)
{
    struct definition *d = xcalloc(1, sizeof *d);
    struct memory *memory = d->memory = xcalloc(1, sizeof *memory);
    struct compiler c = {
        .d = d,
        .memory = memory,
        .root = value,
        .positions = positions,
        .text = text,
        .faults = faults,
        .warnings = warnings,
        .now_step = NO_INDEX,
        .model = "default",
        .queue = "default",
        .retry = { .max_attempts = 4, .initial_ms = 500, .max_ms = 30 * SECOND_MS },
    };
    memory_own(memory, value, release_json);
    compile_workflow((struct node){ .c = &c, .value = value, .pointer = "" });
    CLEANUP(buf_done) struct buf canonical = { 0 };
    json_write_sorted(&canonical, value);
    sha256_hex(buf_bytes(&canonical), d->sha256);
    d->canonical = memory_own(memory, buf_take(&canonical, &d->canonical_len), free);
    memory_done(&c.scratch);
    map_done(&c.names);
    free(c.step_pointers);
    free(c.uses);
    free(c.vars);
    return d;
}

/* A version that YAML reads as a number is text all the same: 1.10 is not 1.1. */
static void keep_version_text(json_t *root, const struct positions *positions)
{
    const json_t *version = json_object_get(root, "version");
    const char *text = positions_text(positions, "/version");
    if (json_is_number(version) && text) json_object_set_new(root, "version", json_string(text));
}

static struct definition *parse(struct bytes text, struct faults *ret_faults,
                                struct faults *ret_warnings)
{
    *ret_faults = (struct faults){ 0 };
    if (text.len > DEFINITION_BYTES_MAX) {
        fault_add(ret_faults, 1, 1, "",
                  xasprintf("the definition has %zu bytes; the limit is %d", text.len,
                            DEFINITION_BYTES_MAX));
        return NULL;
    }
    uint32_t line = 0, column = 0;
    struct err e;
    CLEANUP(positions_free_p) struct positions *positions = NULL;
    AUTO_JSON *root = yaml_parse(text, &positions, &line, &column, &e);
    if (!root || json_is_null(root)) {
        fault_add(
            ret_faults, root ? 1 : line, root ? 1 : column, "",
            xstrdup(root ? "the file is empty; a workflow begins with 'workflow: NAME'" : e.text));
        return NULL;
    }
    keep_version_text(root, positions);
    CLEANUP(definition_free_p)
    struct definition *checked = compile(TAKE(root), positions, text, ret_faults, ret_warnings);
    if (ret_faults->count > 0) {
        faults_sort(ret_faults);
        return NULL;
    }
    struct bytes canonical = { .data = checked->canonical, .len = checked->canonical_len };
    struct definition *d = definition_load(canonical, checked->sha256, &e);
    if (!d) fault_add(ret_faults, 1, 1, "", xstrdup(e.text));
    return d;
}

struct definition *definition_parse(struct bytes text, struct faults *ret_faults)
{
    return parse(text, ret_faults, NULL);
}

struct definition *definition_lint(struct bytes text, struct faults *ret_faults,
                                   struct faults *ret_warnings)
{
    *ret_warnings = (struct faults){ 0 };
    return parse(text, ret_faults, ret_warnings);
}

struct definition *definition_load(struct bytes canonical, const char *sha256, struct err *e)
{
    char actual[SHA256_HEX];
    sha256_hex(canonical, actual);
    if (sha256 && strcmp(sha256, actual) != 0) {
        err_fail(e, ERR_CONFLICT, "the definition's sha256 is %s, not %s", actual, sha256);
        return NULL;
    }
    if (canonical.len > DEFINITION_BYTES_MAX) {
        err_fail(e, ERR_LIMIT, "the definition has %zu bytes; the limit is %d", canonical.len,
                 DEFINITION_BYTES_MAX);
        return NULL;
    }
    json_t *root = json_parse(canonical, e);
    if (!root) {
        (void)err_prefix(e, "definition");
        return NULL;
    }
    struct faults faults = { 0 };
    CLEANUP(definition_free_p)
    struct definition *d = compile(root, NULL, canonical, &faults, NULL);
    bool same = strcmp(d->sha256, actual) == 0;
    if (faults.count > 0)
        err_fail(e, ERR_INVALID, "definition: %s: %s", faults.list[0].pointer, faults.list[0].text);
    else if (!same)
        err_fail(e, ERR_INVALID, "definition: not in canonical form");
    bool ok = same && faults.count == 0;
    faults_done(&faults);
    return ok ? TAKE(d) : NULL;
}

const struct step_def *definition_step(const struct definition *d, struct bytes name)
{
    for (uint32_t i = 0; i < d->step_count; i++)
        if (bytes_is(name, d->steps[i].name)) return &d->steps[i];
    return NULL;
}
