/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Schema 2020-12: all of its vocabularies, compiled once, without any network. What a schema
 * refers to stands in the schema itself, in the documents that are given with it, or is one of the
 * specification's own metaschemas; any other reference is an error when the schema is compiled.
 *
 * Bounded: patterns, references that go in circles, and schemas that take work without end become
 * errors (ERR_LIMIT), and are never a reason to hang. The same schema and value give the same
 * result everywhere. */
#ifndef TUTTI_SCHEMA_H
#define TUTTI_SCHEMA_H

#include "common/base/err.h"
#include "common/base/json.h"

struct schema; /* compiled; immutable, may be shared by threads */

/* What one check may do, in steps of some 10 to 50 ns: a keyword group, a member, an item, sixteen
 * characters of a text that a pattern runs through. */
#define SCHEMA_WORK_MAX 10000000
/* Schemas within schemas while a value is checked, the references included. */
#define SCHEMA_NESTING_MAX 1024

/* A schema that others may refer to, by its own $id and by the URI that it is known under. */
struct schema_document {
    const char *uri; /* may be NULL: by its $id only */
    const json_t *value;
};

struct schema_options {
    const struct schema_document *documents;
    size_t document_count;
    bool assert_format; /* `format` is a rule and no annotation */
    uint64_t work_max;  /* of one check; 0: SCHEMA_WORK_MAX */
    /* Called for what is allowed and looks like a mistake, such as an unknown keyword whose name
     * is nearly that of a known one. pointer: of the keyword, in the schema. May be NULL. */
    void (*warn)(void *user, const char *pointer, const char *text);
    void *user;
};

/* Compiles. On failure NULL and e. ERR_INVALID: a keyword has a value that means nothing;
 * ERR_NOT_FOUND: a reference to what is not there; ERR_UNSUPPORTED: another draft, or a vocabulary
 * that is required and unknown; ERR_LIMIT. *ret_pointer is the JSON pointer of the keyword at
 * fault, to free(); it is "" for the schema as a whole, and if the fault is in another document,
 * which e's text then names. Where ret_pointer is NULL, the text begins with the place. The value
 * is copied. */
MUST_CHECK struct schema *schema_compile(const json_t *value, char **ret_pointer, struct err *e);
/* The same with options; what they point to is copied, too. */
MUST_CHECK struct schema *schema_compile_with(const json_t *value, const struct schema_options *o,
                                              char **ret_pointer, struct err *e);
struct schema *schema_free(struct schema *s);
DEFINE_CLEANUP(struct schema *, schema_free)

/* Whether value is valid. If not, ERR_INVALID, and e names the JSON pointer in the value, what is
 * wanted, what is there, and the keyword that says so; ERR_LIMIT: it took more than
 * work_max or SCHEMA_NESTING_MAX. */
MUST_CHECK bool schema_check(const struct schema *s, const json_t *value, struct err *e);

struct schema_violation {
    char *pointer; /* JSON pointer of the value at fault, or of what is missing; "": the whole */
    char *keyword; /* place of the keyword, as in "#/properties/a/minLength" */
    char *text;    /* what is wanted, and what is there */
};

struct schema_report {
    size_t max; /* given: stop behind so many */
    struct schema_violation *list;
    size_t count;
};

/* As schema_check; r, whose max is set and whose rest is zero, gets the violations in the order in
 * which they are found. It stays empty if the check fails by a limit, and in the rare case that the
 * value is invalid and the reasons take more work than is allowed. */
MUST_CHECK bool schema_check_all(const struct schema *s, const json_t *value,
                                 struct schema_report *r, struct err *e);
void schema_report_done(struct schema_report *r);

#endif
