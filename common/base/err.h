/* SPDX-License-Identifier: Apache-2.0
 *
 * The error value: what kind of failure, whether trying again can help, where in the source it was
 * raised, and a text for people. By value, so that reporting "out of memory" needs no memory. A
 * function that can fail returns bool and takes `struct err *e` last; e is written only on failure.
 */
#ifndef TUTTI_ERR_H
#define TUTTI_ERR_H

#include "common/base/base.h"

enum err_kind {
    ERR_NONE,
    ERR_INVALID,     /* the caller's input is wrong: a definition, a flag, a payload */
    ERR_NOT_FOUND,   /* the thing named does not exist */
    ERR_CONFLICT,    /* exists already with other content, or changed under us */
    ERR_LIMIT,       /* a stated limit is exceeded */
    ERR_UNAVAILABLE, /* a server or device does not answer or refuses; often retriable */
    ERR_AUTH,        /* credentials are refused */
    ERR_TIMEOUT,
    ERR_UNSUPPORTED, /* understood, but not implemented in this version */
    ERR_IO,          /* a system call failed: text holds strerror */
    ERR_INTERNAL,
};

struct err {
    enum err_kind kind;
    bool retriable;
    const char *file; /* source position, static */
    int line;
    char text[400]; /* one line, UTF-8, no trailing newline, whatever its arguments quoted */
};

/* Fills e (if not NULL) and returns false. */
bool err_fail_at(struct err *e, enum err_kind kind, const char *file, int line, const char *fmt,
                 ...) PRINTF_LIKE(5, 6);
#define err_fail(e, kind, ...) err_fail_at((e), (kind), __FILE__, __LINE__, __VA_ARGS__)

/* Puts "prefix: " before the text that is there; returns false, for use in a return. */
bool err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Makes text, which may quote what users and servers sent and be cut within a character, one line
 * of valid UTF-8: a space for each control character, a ? for each foreign byte. err_fail and
 * err_prefix do it. */
void text_one_line(char *text);

/* The kind's name, as in "not_found". Static. */
const char *err_kind_name(enum err_kind kind);

#endif
