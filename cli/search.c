/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/search.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/io/http_pool.h"

#define PAGE_RUNS      500 /* the most that the index gives at once */
#define PAGE_BYTES_MAX (4 * MIB)

bool search_needed(const struct cli_config *c, struct err *e)
{
    const struct {
        const char *name, *value;
    } only[] = {
        { "--of-version", c->of_version }, { "--key", c->key },   { "--since", c->since },
        { "--until", c->until },           { "--attr", c->attr }, { "--cursor", c->cursor }
    };
    for (size_t i = 0; i < ARRAY_LEN(only); i++)
        if (only[i].value)
            return !err_fail(e, ERR_INVALID,
                             "%s needs the index: run tutti-indexer, and name it with --index-url "
                             "(or TUTTI_INDEX_URL)",
                             only[i].name);
    return false;
}

/* --- the question --- */

static void add_argument(struct buf *url, const char *prefix, const char *name, const char *value)
{
    if (!value) return;
    buf_addf(url, "%s%s", strchr(url->data, '?') ? "&" : "?", prefix);
    for (int part = 0; part < 2; part++) {
        for (const char *p = part ? value : name; *p; p++) {
            if (isalnum((unsigned char)*p) || strchr("-._~", *p))
                buf_add_char(url, *p);
            else
                buf_addf(url, "%%%02X", (unsigned char)*p);
        }
        if (!part) buf_add_char(url, '=');
    }
}

/* NAME=VALUE,NAME=VALUE */
static bool add_attributes(struct buf *url, const char *text, struct err *e)
{
    AUTO_FREE char *copy = xstrdup(text ? text : "");
    for (char *p = copy, *next; *p; p = next) {
        next = p + strcspn(p, ",");
        if (*next) *next++ = '\0';
        char *value = strchr(p, '=');
        if (!value || value == p)
            return err_fail(e, ERR_INVALID, "--attr is NAME=VALUE[,NAME=VALUE...], not '%.60s'", p);
        *value++ = '\0';
        add_argument(url, "attr.", p, value);
    }
    return true;
}

static bool make_url(const struct cli_config *c, const char *cursor, size_t left, struct buf *url,
                     struct err *e)
{
    char limit[16];
    size_t len = strlen(c->index_url);
    while (len && c->index_url[len - 1] == '/') len--;
    buf_add(url, c->index_url, len);
    buf_add_text(url, "/v1/runs");
    snprintf(limit, sizeof limit, "%zu", MIN(left, (size_t)PAGE_RUNS));
    add_argument(url, "", "limit", limit);
    add_argument(url, "", "workflow", c->workflow);
    add_argument(url, "", "version", c->of_version);
    add_argument(url, "", "state", c->status);
    add_argument(url, "", "key", c->key);
    add_argument(url, "", "since", c->since);
    add_argument(url, "", "until", c->until);
    add_argument(url, "", "cursor", cursor);
    return add_attributes(url, c->attr, e);
}

/* --- the answer --- */

struct asking {
    const char *url;
    json_t *page;
    struct err e;
    bool done;
};

static void on_done(void *user, const struct http_response *r)
{
    struct asking *a = user;
    a->done = true;
    if (r->outcome != HTTP_DONE) {
        err_fail(&a->e, ERR_UNAVAILABLE, "the index at %.100s does not answer: %s", a->url,
                 r->text);
        return;
    }
    AUTO_JSON *body = json_parse(r->body, NULL);
    const char *message = json_text(json_object_get(body, "error"), "message");
    if (r->status == 200 && json_is_array(json_object_get(body, "runs")))
        a->page = TAKE(body);
    else if (message && r->status < 500)
        err_fail(&a->e, ERR_INVALID, "the index: %s", message);
    else
        err_fail(&a->e, ERR_UNAVAILABLE, "the index at %.100s answered %u%s%s", a->url, r->status,
                 message ? ": " : "", message ? message : "");
}

static bool is_done(void *user)
{
    return ((struct asking *)user)->done;
}

static json_t *ask(struct cli *cli, const char *cursor, size_t left, struct err *e)
{
    AUTO_BUF struct buf url = { 0 };
    if (!make_url(cli->config, cursor, left, &url, e)) return NULL;
    CLEANUP(loop_free_p) struct loop *loop = loop_new(e);
    CLEANUP(http_pool_close_p) struct http_pool *pool = loop ? http_pool_open(loop, 1, e) : NULL;
    struct asking asking = { .url = cli->config->index_url };
    const struct http_request request = { .method = "GET",
                                          .url = url.data,
                                          .total_ms = cli->config->connect_timeout_ms,
                                          .body_bytes_max = PAGE_BYTES_MAX,
                                          .private_allowed = true,
                                          .on_done = on_done,
                                          .user = &asking };
    struct http_id id;
    if (!pool || !http_start(pool, &request, &id, e)) return NULL;
    (void)loop_run_until(loop, is_done, &asking, 2 * cli->config->connect_timeout_ms);
    if (!asking.page) *e = asking.e;
    return asking.page;
}

bool search_runs(struct cli *cli, json_t **ret, struct err *e)
{
    size_t limit = cli->config->limit;
    AUTO_JSON *runs = json_array(), *page = NULL;
    const char *cursor = cli->config->cursor;
    do {
        json_t *next = ask(cli, cursor, limit - json_array_size(runs), e);
        if (!next) return false;
        json_decref(page);
        page = next;
        json_array_extend(runs, json_object_get(page, "runs"));
        cursor = json_text(page, "next");
    } while (cursor && json_array_size(runs) < limit);
    *ret = json_pack("{s:O, s:O}", "runs", runs, "next", json_object_get(page, "next"));
    return *ret || err_fail(e, ERR_UNAVAILABLE, "the index: not an answer of ours");
}
