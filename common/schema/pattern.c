/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine is PCRE2, which knows look-around and back references as ECMA-262 does, and
 * backtracks, so every search counts its steps. What the two spell differently is translated
 * (ECMA-262, section 22.2); what ECMA-262 does not have is refused.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/schema/pattern.h"

#include <pcre2.h>
#include <stdlib.h>

enum { PATTERN_BYTES_MAX = 4096, HEAP_KIB_MAX = 4096 };

/* WhiteSpace and LineTerminator, and everything else. */
#define SPACES                                                                                    \
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}" \
    "\\x{3000}\\x{feff}"
#define NO_SPACES                                                                              \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-" \
    "\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}"    \
    "\\x{ff00}-\\x{10ffff}"

struct pattern {
    pcre2_code *code;
    size_t size;
};

struct translation {
    const char *start, *p, *end;
    bool in_class;
    struct buf out;
    struct err *e;
};

static bool fault(struct translation *t, const char *text)
{
    return err_fail(t->e, ERR_INVALID, "at byte %zu: %s", (size_t)(t->p - t->start), text);
}

/* --- \p{...} --- */

/* The long names of general categories (UAX #44, table 12), which PCRE2 lacks. */
static const struct {
    const char *name, *category;
} categories[] = {
    { "Cased_Letter", "L&" },
    { "Close_Punctuation", "Pe" },
    { "Connector_Punctuation", "Pc" },
    { "Control", "Cc" },
    { "cntrl", "Cc" },
    { "Currency_Symbol", "Sc" },
    { "Dash_Punctuation", "Pd" },
    { "Decimal_Number", "Nd" },
    { "digit", "Nd" },
    { "Enclosing_Mark", "Me" },
    { "Final_Punctuation", "Pf" },
    { "Format", "Cf" },
    { "Initial_Punctuation", "Pi" },
    { "LC", "L&" },
    { "Letter", "L" },
    { "Letter_Number", "Nl" },
    { "Line_Separator", "Zl" },
    { "Lowercase_Letter", "Ll" },
    { "Mark", "M" },
    { "Combining_Mark", "M" },
    { "Math_Symbol", "Sm" },
    { "Modifier_Letter", "Lm" },
    { "Modifier_Symbol", "Sk" },
    { "Nonspacing_Mark", "Mn" },
    { "Number", "N" },
    { "Open_Punctuation", "Ps" },
    { "Other", "C" },
    { "Other_Letter", "Lo" },
    { "Other_Number", "No" },
    { "Other_Punctuation", "Po" },
    { "Other_Symbol", "So" },
    { "Paragraph_Separator", "Zp" },
    { "Private_Use", "Co" },
    { "Punctuation", "P" },
    { "punct", "P" },
    { "Separator", "Z" },
    { "Space_Separator", "Zs" },
    { "Spacing_Mark", "Mc" },
    { "Surrogate", "Cs" },
    { "Symbol", "S" },
    { "Titlecase_Letter", "Lt" },
    { "Unassigned", "Cn" },
    { "Uppercase_Letter", "Lu" },
};

static bool property(struct translation *t)
{
    const char *close =
        t->p + 2 < t->end && t->p[2] == '{' ? memchr(t->p, '}', (size_t)(t->end - t->p)) : NULL;
    if (!close) return fault(t, "\\p and \\P need a {Property}");
    struct bytes name = { t->p + 3, (size_t)(close - t->p - 3) };
    static const char *const prefixes[] = { "General_Category=", "gc=" };
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t len = strlen(prefixes[i]);
        if (name.len <= len || memcmp(name.data, prefixes[i], len) != 0) continue;
        name.data += len;
        name.len -= len;
    }
    struct bytes wanted = name;
    for (size_t i = 0; i < ARRAY_LEN(categories); i++)
        if (bytes_is(name, categories[i].name)) wanted = bytes_of(categories[i].category);
    buf_add(&t->out, t->p, 2);
    buf_add_char(&t->out, '{');
    buf_add(&t->out, wanted.data, wanted.len);
    buf_add_char(&t->out, '}');
    t->p = close + 1;
    return true;
}

/* --- escapes --- */

static bool hex_digits(const char *p, const char *end, size_t count, unsigned *ret)
{
    if ((size_t)(end - p) < count) return false;
    *ret = 0;
    for (size_t i = 0; i < count; i++) {
        char c = p[i], lower = (char)(c | 32);
        if (c >= '0' && c <= '9')
            *ret = *ret << 4 | (unsigned)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *ret = *ret << 4 | (unsigned)(lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

static void add_code_point(struct translation *t, unsigned c, size_t used)
{
    buf_addf(&t->out, "\\x{%x}", c);
    t->p += used;
}

/* \uXXXX, a pair of these, or \u{X...}. */
static bool unicode_escape(struct translation *t)
{
    unsigned c, low;
    if (t->p + 2 < t->end && t->p[2] == '{') {
        const char *close = memchr(t->p, '}', (size_t)(t->end - t->p));
        size_t len = close ? (size_t)(close - t->p - 3) : 0;
        if (len == 0 || len > 6 || !hex_digits(t->p + 3, t->end, len, &c) || c > 0x10FFFF ||
            (c >= 0xD800 && c <= 0xDFFF))
            return fault(t, "\\u{...} must hold a code point in hex");
        add_code_point(t, c, len + 4);
        return true;
    }
    if (!hex_digits(t->p + 2, t->end, 4, &c)) return fault(t, "\\u needs four hex digits");
    if (c < 0xD800 || c > 0xDFFF) {
        add_code_point(t, c, 6);
        return true;
    }
    if (c > 0xDBFF || t->end - t->p < 12 || t->p[6] != '\\' || t->p[7] != 'u' ||
        !hex_digits(t->p + 8, t->end, 4, &low) || low < 0xDC00 || low > 0xDFFF)
        return fault(t, "half of a surrogate pair can match nothing");
    add_code_point(t, 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00), 12);
    return true;
}

static bool space_escape(struct translation *t)
{
    const char *set = t->p[1] == 's' ? SPACES : NO_SPACES;
    buf_addf(&t->out, t->in_class ? "%s" : "[%s]", set);
    t->p += 2;
    return true;
}

static bool escape(struct translation *t)
{
    char c = t->p + 1 < t->end ? t->p[1] : '\0';
    unsigned code;
    switch (c) {
    case '\0': return fault(t, "a \\ at the end");
    case 's':
    case 'S': return space_escape(t);
    case 'p':
    case 'P': return property(t);
    case 'u': return unicode_escape(t);
    case 'x':
        if (!hex_digits(t->p + 2, t->end, 2, &code)) return fault(t, "\\x needs two hex digits");
        add_code_point(t, code, 4);
        return true;
    case 'c':
        if (t->p + 2 >= t->end || !((t->p[2] | 32) >= 'a' && (t->p[2] | 32) <= 'z'))
            return fault(t, "\\c needs a letter");
        add_code_point(t, (unsigned)t->p[2] & 31, 3);
        return true;
    case '0':
        if (t->p + 2 < t->end && t->p[2] >= '0' && t->p[2] <= '9')
            return fault(t, "\\0 must not be followed by a digit");
        add_code_point(t, 0, 2);
        return true;
    case 'v': add_code_point(t, 11, 2); return true;
    case 'b':
        if (t->in_class) {
            add_code_point(t, 8, 2);
            return true;
        }
        break;
    case 'k':
        if (t->p + 2 >= t->end || t->p[2] != '<') return fault(t, "\\k needs a <name>");
        break;
    default:
        if ((c >= '1' && c <= '9' && !t->in_class) || (c == 'B' && !t->in_class)) break;
        if (((c | 32) >= 'a' && (c | 32) <= 'z' && !strchr("dDwWtnrf", c)) ||
            (c >= '1' && c <= '9'))
            return fault(t, "ECMA-262 has no such escape");
        break;
    }
    /* The others are spelled alike: classes, controls, references, and characters that are no
     * letter and stand for themselves. */
    buf_add(&t->out, t->p, 2);
    t->p += 2;
    return true;
}

/* --- the rest --- */

/* After "(?": what ECMA-262 has is : = ! <= <! <name>. */
static bool group(struct translation *t)
{
    size_t len = 1;
    if (t->p + 1 < t->end && t->p[1] == '?') {
        char c = t->p + 2 < t->end ? t->p[2] : '\0';
        if (!c || !strchr(":=!<", c)) return fault(t, "ECMA-262 has no such group");
        len = 3;
    } else if (t->p + 1 < t->end && t->p[1] == '*') {
        return fault(t, "nothing to repeat");
    }
    buf_add(&t->out, t->p, len);
    t->p += len;
    return true;
}

static void class_start(struct translation *t)
{
    bool negated = t->p + 1 < t->end && t->p[1] == '^';
    t->p += 1 + negated;
    if (t->p < t->end && *t->p == ']') { /* [] is nothing, [^] is anything */
        buf_add_text(&t->out, negated ? "[\\x{0}-\\x{10ffff}]" : "(?!)");
        t->p++;
        return;
    }
    buf_add_text(&t->out, negated ? "[^" : "[");
    t->in_class = true;
}

static bool one(struct translation *t)
{
    char c = *t->p;
    if (c == '\\') return escape(t);
    if (t->in_class) {
        /* PCRE2 takes [: and [. and [= for more than a bracket. */
        if (c == '[') buf_add_char(&t->out, '\\');
        if (c == ']') t->in_class = false;
    } else if (c == '(') {
        return group(t);
    } else if (c == '[') {
        class_start(t);
        return true;
    } else if (c == '.') {
        buf_add_text(&t->out, "[^\\n\\r\\x{2028}\\x{2029}]");
        t->p++;
        return true;
    } else if (strchr("*+?}", c) && c && t->p + 1 < t->end && t->p[1] == '+') {
        return fault(t, "nothing to repeat");
    }
    buf_add_char(&t->out, c);
    t->p++;
    return true;
}

struct pattern *pattern_compile(struct bytes source, struct err *e)
{
    if (source.len > PATTERN_BYTES_MAX) {
        err_fail(e, ERR_LIMIT, "it is longer than %d bytes", PATTERN_BYTES_MAX);
        return NULL;
    }
    AUTO_BUF struct buf text = { 0 };
    struct translation t = { .start = source.data, .p = source.data, .e = e };
    t.end = source.data + source.len;
    buf_add_text(&t.out, "");
    bool ok = true;
    while (ok && t.p < t.end) ok = one(&t);
    text = t.out;
    if (!ok) return NULL;
    int error;
    size_t offset, size = 0;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text.data, text.len,
                      PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C |
                          PCRE2_AUTO_CALLOUT | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF,
                      &error, &offset, NULL);
    if (!code) {
        char why[128];
        pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
        err_fail(e, ERR_INVALID, "%s", why);
        return NULL;
    }
    (void)pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size);
    struct pattern *p = xmalloc(sizeof *p);
    *p = (struct pattern){ .code = code, .size = size };
    return p;
}

struct pattern *pattern_free(struct pattern *p)
{
    if (!p) return NULL;
    pcre2_code_free(p->code);
    free(p);
    return NULL;
}

size_t pattern_size(const struct pattern *p)
{
    return p->size;
}

/* --- searching --- */

struct matcher {
    pcre2_match_context *context;
    pcre2_match_data *data;
    uint64_t steps, steps_max;
    size_t position; /* in the text, at the last step */
};

/* Called before every item of the pattern, wherever the matcher tries it. What it has run through
 * since the last time, forwards or back, is work too: `[a-z]*` is a single item. */
static int count_step(pcre2_callout_block *block, void *user)
{
    struct matcher *m = user;
    size_t at = block->current_position;
    m->steps += 1 + (at > m->position ? at - m->position : m->position - at) / 16;
    m->position = at;
    return m->steps > m->steps_max ? PCRE2_ERROR_MATCHLIMIT : 0;
}

static struct matcher *matcher_new(void)
{
    struct matcher *m = xcalloc(1, sizeof *m);
    m->context = pcre2_match_context_create(NULL);
    m->data = pcre2_match_data_create(1, NULL);
    ASSERT(m->context && m->data);
    /* PCRE2's own limit of steps starts anew at every position of the text; this one does not. */
    pcre2_set_callout(m->context, count_step, m);
    pcre2_set_heap_limit(m->context, HEAP_KIB_MAX);
    return m;
}

enum pattern_verdict pattern_search(const struct pattern *p, struct matcher **matcher,
                                    struct bytes text, uint64_t *work)
{
    if (!*matcher) *matcher = matcher_new();
    struct matcher *m = *matcher;
    m->steps = m->position = 0;
    m->steps_max = *work;
    int n = pcre2_match(p->code, (PCRE2_SPTR)text.data, text.len, 0, PCRE2_NO_UTF_CHECK, m->data,
                        m->context);
    *work -= MIN(m->steps, *work);
    /* 0: a match with more groups than there was room for. */
    if (n >= 0) return PATTERN_YES;
    return n == PCRE2_ERROR_NOMATCH ? PATTERN_NO : PATTERN_TOO_COSTLY;
}

struct matcher *matcher_free(struct matcher *m)
{
    if (!m) return NULL;
    pcre2_match_context_free(m->context);
    pcre2_match_data_free(m->data);
    free(m);
    return NULL;
}
