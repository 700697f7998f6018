/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schema/uri.h"

#include <ctype.h>

/* Views; data is NULL where there is none, which is not the same as an empty one. */
struct parts {
    struct bytes scheme, authority, path, query, fragment;
};

/* Takes the bytes up to one of `ends` from *p. */
static struct bytes take(const char **p, const char *ends)
{
    size_t len = strcspn(*p, ends);
    struct bytes taken = { *p, len };
    *p += len;
    return taken;
}

/* The regular expression of appendix B, by hand. */
static struct parts split(const char *p)
{
    struct parts u = { 0 };
    size_t scheme = strcspn(p, ":/?#");
    if (p[scheme] == ':' && isalpha((unsigned char)*p)) {
        u.scheme = (struct bytes){ p, scheme };
        p += scheme + 1;
    }
    if (p[0] == '/' && p[1] == '/') {
        p += 2;
        u.authority = take(&p, "/?#");
    }
    u.path = take(&p, "?#");
    if (*p == '?') {
        p++;
        u.query = take(&p, "#");
    }
    if (*p == '#') u.fragment = bytes_of(p + 1);
    return u;
}

/* Section 5.2.4: takes the segments "." and ".." out of what stands behind `from`. */
static void remove_dots(struct buf *b, size_t from)
{
    AUTO_BUF struct buf in = { 0 };
    buf_add(&in, b->data + from, b->len - from);
    b->len = from;
    b->data[from] = '\0';
    const char *p = in.data;
    while (*p) {
        size_t slash = *p == '/', len = strcspn(p + slash, "/");
        const char *name = p + slash;
        bool one = len == 1 && name[0] == '.', two = len == 2 && memcmp(name, "..", 2) == 0;
        p = name + len;
        if (!one && !two) {
            buf_add(b, name - slash, slash + len);
            continue;
        }
        while (two && b->len > from) { /* the last segment, its slash included */
            b->len--;
            if (b->data[b->len] == '/') break;
        }
        b->data[b->len] = '\0';
        if (!*p && slash) buf_add_char(b, '/');
    }
}

static void add_part(struct buf *b, const char *before, struct bytes part, const char *after)
{
    if (!part.data) return;
    buf_add_text(b, before);
    buf_add(b, part.data, part.len);
    buf_add_text(b, after);
}

void uri_resolve(struct buf *ret, const char *base_text, const char *reference)
{
    struct parts r = split(reference), base = split(base_text);
    bool own = r.scheme.data || r.authority.data;
    add_part(ret, "", r.scheme.data ? r.scheme : base.scheme, ":");
    add_part(ret, "//", own ? r.authority : base.authority, "");
    size_t from = ret->len;
    if (own || (r.path.len && r.path.data[0] == '/')) {
        add_part(ret, "", r.path, "");
        remove_dots(ret, from);
    } else if (r.path.len) {
        size_t keep = base.path.len;
        while (keep && base.path.data[keep - 1] != '/') keep--;
        if (base.authority.data && !base.path.len) buf_add_char(ret, '/');
        buf_add(ret, base.path.data, keep);
        add_part(ret, "", r.path, "");
        remove_dots(ret, from);
    } else {
        add_part(ret, "", base.path, "");
        if (!r.query.data) r.query = base.query;
    }
    add_part(ret, "?", r.query, "");
    add_part(ret, "#", r.fragment, "");
    buf_add_text(ret, "");
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    char lower = (char)(c | 32);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool uri_decode(struct buf *ret, const char *text)
{
    buf_add_text(ret, "");
    for (; *text; text++) {
        if (*text != '%') {
            buf_add_char(ret, *text);
            continue;
        }
        int high = hex(text[1]), low = high < 0 ? -1 : hex(text[2]);
        if (low < 0 || (high == 0 && low == 0)) return false;
        buf_add_char(ret, (char)(high << 4 | low));
        text += 2;
    }
    return true;
}
