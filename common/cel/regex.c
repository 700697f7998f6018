/* SPDX-License-Identifier: Apache-2.0
 *
 * matches(): CEL asks for RE2. PCRE2 understands RE2's syntax and, for the common part, means the
 * same; what only PCRE2 has is refused, so that a linear matcher can take its place one day. PCRE2
 * backtracks, so every search counts its steps, and pays for them.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "common/cel/internal.h"

enum { PATTERN_BYTES_MAX = 4096, HEAP_KIB_MAX = 4096 };

struct regex {
    pcre2_code *code;
};

/* What the bytes after "(?" begin: RE2 has flags, plain groups and named groups. */
static bool group_is_common(const char *p, const char *end)
{
    if (p < end && *p == 'P') return p + 1 < end && p[1] == '<';
    if (p < end && *p == '<') return p + 1 < end && p[1] != '=' && p[1] != '!';
    while (p < end && strchr("imsU-", *p) && *p) p++;
    return p < end && (*p == ':' || *p == ')');
}

/* The name of a feature at p that RE2 does not have, or NULL. p is outside of a class. */
static const char *foreign_feature(const char *p, const char *end)
{
    char next = p + 1 < end ? p[1] : '\0';
    if (*p == '\\' && next >= '1' && next <= '9') return "a back reference";
    if (*p == '\\' && next && strchr("kgKGXZRNhHVe", next)) return "this escape";
    if (*p == '(' && next == '*') return "a verb";
    if (*p == '(' && next == '?' && !group_is_common(p + 2, end)) return "this kind of group";
    if (strchr("*+?}", *p) && next == '+') return "a possessive quantifier";
    return NULL;
}

static bool check_common(struct bytes pattern, struct err *e)
{
    const char *end = pattern.data + pattern.len;
    bool in_class = false;
    for (const char *p = pattern.data; p < end; p++) {
        const char *feature = in_class ? NULL : foreign_feature(p, end);
        if (feature)
            return err_fail(e, ERR_INVALID, "matches(): %s is not supported (RE2 syntax)", feature);
        if (*p == '\\')
            p++; /* the next character stands for itself or is checked above */
        else if (*p == '[' && !in_class) {
            in_class = true;
            if (p + 1 < end && p[1] == '^') p++;
            if (p + 1 < end && p[1] == ']') p++; /* a bracket that comes first is a member */
        } else if (*p == '[' && p + 1 < end && p[1] == ':') {
            while (p + 1 < end && *p != ']') p++; /* [:alpha:] */
        } else if (*p == ']') {
            in_class = false;
        }
    }
    return true;
}

struct regex *regex_compile(struct bytes pattern, struct err *e)
{
    if (pattern.len > PATTERN_BYTES_MAX) {
        err_fail(e, ERR_INVALID, "matches(): the pattern is longer than %d bytes",
                 PATTERN_BYTES_MAX);
        return NULL;
    }
    if (!check_common(pattern, e)) return NULL;
    int code;
    size_t offset;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len,
                                         PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C |
                                             PCRE2_AUTO_CALLOUT | PCRE2_DOLLAR_ENDONLY,
                                         &code, &offset, NULL);
    if (!compiled) {
        char text[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        err_fail(e, ERR_INVALID, "matches(): in the pattern at byte %zu: %s", offset, text);
        return NULL;
    }
    struct regex *r = xmalloc(sizeof *r);
    r->code = compiled;
    return r;
}

struct regex *regex_free(struct regex *r)
{
    if (!r) return NULL;
    pcre2_code_free(r->code);
    free(r);
    return NULL;
}

/* A search under way. */
struct search {
    uint64_t steps, steps_max;
    size_t position; /* in the text, at the last step */
};

/* Called before every item of the pattern, wherever the matcher tries it. What it has run through
 * since the last time, forwards or back, is work too: `[a-z]*` is a single item. */
static int count_step(pcre2_callout_block *block, void *user)
{
    struct search *s = user;
    size_t at = block->current_position;
    s->steps += 1 + (at > s->position ? at - s->position : s->position - at) / 16;
    s->position = at;
    return s->steps > s->steps_max ? PCRE2_ERROR_MATCHLIMIT : 0;
}

enum regex_verdict regex_search(const struct regex *r, struct bytes text, uint64_t steps_max,
                                uint64_t *ret_steps)
{
    struct search s = { .steps_max = steps_max };
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    ASSERT(context && data);
    /* PCRE2's own limit of steps starts anew at every position of the text; this one does not. */
    pcre2_set_callout(context, count_step, &s);
    pcre2_set_heap_limit(context, HEAP_KIB_MAX);
    int n =
        pcre2_match(r->code, (PCRE2_SPTR)text.data, text.len, 0, PCRE2_NO_UTF_CHECK, data, context);
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    *ret_steps = s.steps;
    /* 0: a match with more groups than there was room for. */
    if (n >= 0) return REGEX_YES;
    return n == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_TOO_COSTLY;
}
