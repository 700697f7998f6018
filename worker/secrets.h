/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets: where a worker has them from, how they come into a task's value, and how they stay out
 * of everything that leaves it. They are put only where the definition says (pointer and offset),
 * never where data looks like a reference; and every value that was used is taken out of outputs
 * and messages again, as it is and as JSON would escape it. */
#ifndef TUTTI_SECRETS_H
#define TUTTI_SECRETS_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/secret.h"
#include "common/proto/message.h"

#define SECRET_BYTES_MAX    (64 * 1024)
#define SECRET_REDACT_BYTES 4 /* shorter values would take ordinary text away with them */

struct secrets;

/* All secrets: the files of dir (may be NULL; names that begin with a dot are skipped, one line end
 * at the end of a file is no part of it), and TUTTI_SECRET_NAME of the environment where there is
 * no file of that name. Errors: ERR_IO, ERR_LIMIT, ERR_INVALID (no UTF-8) name the file. */
MUST_CHECK struct secrets *secrets_open(const char *dir, struct err *e);
struct secrets *secrets_free(struct secrets *s); /* NULL is fine; returns NULL; wipes */
DEFINE_CLEANUP(struct secrets *, secrets_free)
/* NULL where there is none of that name. */
const struct secret *secrets_find(const struct secrets *s, const char *name);

/* Copies of the secrets that went into one call. */
struct used_secrets {
    struct used_secret {
        char *name;
        struct secret value;
    } * list;
    size_t count;
};
void used_secrets_done(struct used_secrets *u);
void used_secrets_add(struct used_secrets *u, const char *name, const struct secret *value);

/* Inserts each secret at its place in *value (which is changed). ERR_NOT_FOUND: no such secret, by
 * name; ERR_INVALID: a place that is not in the value. */
MUST_CHECK bool secrets_apply(const struct secrets *s, const struct secret_refs *refs,
                              json_t *value, struct used_secrets *used, struct err *e);

/* Puts [redacted:NAME] for every used secret. */
void redact_text(const struct used_secrets *u, struct buf *text);
/* A new reference; strings, object keys and numbers are looked at. */
json_t *redact_json(const struct used_secrets *u, const json_t *value);

#endif
