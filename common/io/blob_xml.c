/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/blob_xml.h"

#include <expat.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/limits.h"

#define TEXT_BYTES_MAX (4 * KIB) /* of one element; a key of S3 has 1,024 at the most */
#define PATH_DEPTH_MAX 3

struct parse {
    XML_Parser parser;
    struct blob_xml *x;
    char path[PATH_DEPTH_MAX][40]; /* of the elements that are open, without namespaces */
    unsigned depth;
    struct buf text; /* of the innermost */
    bool known;      /* the root is one that S3 sends */
};

static bool at(const struct parse *p, const char *a, const char *b, const char *c)
{
    unsigned depth = c ? 3 : 2;
    return p->depth == depth && strcmp(p->path[0], a) == 0 && strcmp(p->path[1], b) == 0 &&
           (!c || strcmp(p->path[2], c) == 0);
}

static void XMLCALL on_start(void *parse, const XML_Char *name, const XML_Char **attributes)
{
    struct parse *p = parse;
    (void)attributes;
    const char *local = strrchr(name, ':');
    if (p->depth < PATH_DEPTH_MAX)
        snprintf(p->path[p->depth], sizeof p->path[0], "%s", local ? local + 1 : name);
    if (p->depth++ == 0)
        p->known = strcmp(p->path[0], "ListBucketResult") == 0 || strcmp(p->path[0], "Error") == 0;
    if (p->depth > JSON_DEPTH_MAX) (void)XML_StopParser(p->parser, XML_FALSE);
    buf_reset(&p->text);
}

static void XMLCALL on_text(void *parse, const XML_Char *text, int len)
{
    struct parse *p = parse;
    if (p->text.len + (size_t)len > TEXT_BYTES_MAX)
        (void)XML_StopParser(p->parser, XML_FALSE);
    else
        buf_add(&p->text, text, (size_t)len);
}

static void add_key(struct blob_xml *x, const char *key)
{
    if (x->key_count == x->key_cap) {
        x->key_cap = x->key_cap ? 2 * x->key_cap : 16;
        x->keys = xrealloc(x->keys, x->key_cap * sizeof *x->keys);
    }
    x->keys[x->key_count++] = xstrdup(key);
}

/* "2026-11-28T07:20:01.000Z"; a fraction more or less does not matter. */
static int64_t time_of(const char *text)
{
    struct tm tm = { 0 };
    return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) * 1000 : 0;
}

static void XMLCALL on_end(void *parse, const XML_Char *name)
{
    struct parse *p = parse;
    struct blob_xml *x = p->x;
    const char *text = p->text.data ? p->text.data : "";
    (void)name;
    if (at(p, "ListBucketResult", "Contents", "Key") ||
        at(p, "ListBucketResult", "CommonPrefixes", "Prefix"))
        add_key(x, text);
    else if (at(p, "ListBucketResult", "Contents", "LastModified"))
        x->newest_ms = MAX(x->newest_ms, time_of(text));
    else if (at(p, "ListBucketResult", "IsTruncated", NULL))
        x->truncated = strcmp(text, "true") == 0;
    else if (at(p, "Error", "Code", NULL))
        snprintf(x->code, sizeof x->code, "%s", text);
    else if (at(p, "Error", "Message", NULL))
        snprintf(x->message, sizeof x->message, "%s", text);
    p->depth--;
    buf_reset(&p->text);
}

/* Entities could make much of little; S3 sends none. */
static void XMLCALL on_doctype(void *parse, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal)
{
    struct parse *p = parse;
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    (void)XML_StopParser(p->parser, XML_FALSE);
}

bool blob_xml_parse(struct bytes text, struct blob_xml *ret, struct err *e)
{
    if (text.len > INT_MAX) return err_fail(e, ERR_LIMIT, "XML: %zu bytes", text.len);
    struct parse p = { .parser = XML_ParserCreate(NULL), .x = ret };
    ASSERT(p.parser);
    XML_SetUserData(p.parser, &p);
    XML_SetElementHandler(p.parser, on_start, on_end);
    XML_SetCharacterDataHandler(p.parser, on_text);
    XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
    bool ok = XML_Parse(p.parser, text.data ? text.data : "", (int)text.len, 1) == XML_STATUS_OK;
    if (!ok)
        (void)err_fail(e, ERR_INVALID, "XML: line %lu: %s",
                       (unsigned long)XML_GetCurrentLineNumber(p.parser),
                       XML_ErrorString(XML_GetErrorCode(p.parser)));
    else if (!p.known)
        ok = err_fail(e, ERR_INVALID, "XML: <%s> is not what S3 answers", p.path[0]);
    XML_ParserFree(p.parser);
    buf_done(&p.text);
    return ok;
}

void blob_xml_done(struct blob_xml *x)
{
    for (size_t i = 0; i < x->key_count; i++) free(x->keys[i]);
    free(x->keys);
    *x = (struct blob_xml){ 0 };
}
