/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of definitions share: definitions from text, and faults as text.
 */
#ifndef TUTTI_TEST_DEFINITION_SUPPORT_H
#define TUTTI_TEST_DEFINITION_SUPPORT_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/definition/definition.h"

/* "line:column: text" of every fault, one a line; to free(). */
static inline char *faults_text(const struct faults *faults)
{
    struct buf b = { 0 };
    buf_add_text(&b, "");
    for (size_t i = 0; i < faults->count; i++)
        buf_addf(&b, "%u:%u: %s\n", faults->list[i].line, faults->list[i].column,
                 faults->list[i].text);
    return buf_take(&b, NULL);
}

/* The definition in text, which must have no fault. */
static inline struct definition *define(const char *text)
{
    struct faults faults;
    struct definition *d = definition_parse(bytes_of(text), &faults);
    AUTO_FREE char *found = faults_text(&faults);
    cr_assert_not_null(d, "%s\n%s", found, text);
    cr_assert_eq(faults.count, 0);
    return d;
}

/* A definition of these steps (YAML, indented by nothing), with `input` schema true. */
static inline char *with_steps(const char *steps)
{
    return xasprintf("workflow: w\nversion: '1'\nsteps:\n%s", steps);
}
#define AUTO_DEFINITION CLEANUP(definition_free_p) struct definition

static inline struct definition *define_steps(const char *steps)
{
    AUTO_FREE char *text = with_steps(steps);
    return define(text);
}

/* Expects that the text has a fault that holds `wanted` ("line:column: text" or a part of it). */
static inline void expect_fault_at(const char *text, const char *wanted, int line)
{
    struct faults faults;
    AUTO_DEFINITION *d = definition_parse(bytes_of(text), &faults);
    AUTO_FREE char *found = faults_text(&faults);
    cr_expect_null(d, "line %d: no fault in\n%s", line, text);
    cr_expect_not_null(strstr(found, wanted), "line %d: wanted '%s', found\n%s", line, wanted,
                       found);
    faults_done(&faults);
}
#define expect_fault(text, wanted) expect_fault_at((text), (wanted), __LINE__)

/* The same for a definition of these steps. */
static inline void expect_step_fault_at(const char *steps, const char *wanted, int line)
{
    AUTO_FREE char *text = with_steps(steps);
    expect_fault_at(text, wanted, line);
}
#define expect_step_fault(steps, wanted) expect_step_fault_at((steps), (wanted), __LINE__)

/* A file of the source tree; to free(). */
static inline char *read_source(const char *path, size_t *ret_len)
{
    AUTO_FREE char *full = xasprintf("%s/%s", TUTTI_SOURCE_DIR, path);
    FILE *f = fopen(full, "rb");
    cr_assert_not_null(f, "%s", full);
    struct buf b = { 0 };
    char chunk[4096];
    size_t n;
    buf_add_text(&b, "");
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) buf_add(&b, chunk, n);
    fclose(f);
    return buf_take(&b, ret_len);
}

#endif
