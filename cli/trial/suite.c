/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a file of cases and the workflow that it is about. */
#include <stdlib.h>

#include "cli/trial/parts.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/limits.h"

#define SUITE_BYTES_MAX (8 * MIB)
#define CASES_MAX       10000

static const char *const suffixes[] = { ".yaml", ".yml", ".json" };

/* The ending among suffixes that a path has, or "". */
static const char *suffix_of(const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        size_t n = strlen(suffixes[i]);
        if (len > n && strcmp(path + len - n, suffixes[i]) == 0) return path + len - n;
    }
    return path + len;
}

bool trial_path_is_suite(const char *path)
{
    static const char mark[] = ".test";
    const char *suffix = suffix_of(path);
    size_t stem = (size_t)(suffix - path), n = sizeof mark - 1;
    return *suffix && stem > n && memcmp(suffix - n, mark, n) == 0 &&
           suffix[-(ptrdiff_t)n - 1] != '/';
}

char *trial_path_of(const char *workflow)
{
    const char *suffix = suffix_of(workflow);
    return xasprintf("%.*s.test%s", (int)(suffix - workflow), workflow, *suffix ? suffix : ".yaml");
}

/* x.test.yaml: x.yaml */
static char *workflow_path_by_name(const char *path)
{
    const char *suffix = suffix_of(path);
    return xasprintf("%.*s%s", (int)(suffix - path - (ptrdiff_t)strlen(".test")), path, suffix);
}

/* A name in the file is relative to the file. */
static char *workflow_path_of(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    if (!name) return workflow_path_by_name(path);
    if (*name == '/' || !slash) return xstrdup(name);
    return xasprintf("%.*s/%s", (int)(slash - path), path, name);
}

/* --- values --- */

bool suite_members(const struct reader *r, const json_t *object, const char *pointer,
                   const char *names)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return fault(r, pointer, "a mapping is needed here, with some of: %s", names);
    json_object_foreach((json_t *)object, key, value) {
        size_t len = strlen(key);
        const char *at = names;
        while ((at = strstr(at, key)) != NULL) {
            bool begins = at == names || at[-1] == ' ', ends = !at[len] || at[len] == ' ';
            if (len && begins && ends && !strchr(key, ' ')) break;
            at++;
        }
        if (at) continue;
        AUTO_BUF struct buf place = { 0 };
        buf_add_text(&place, pointer);
        json_pointer_add(&place, key);
        uint32_t line, column;
        positions_find_key(r->suite->positions, place.data, &line, &column);
        return err_fail(r->e, ERR_INVALID, "%s:%u:%u: %.60s is not known here; there are: %s",
                        r->suite->path, line, column, key, names);
    }
    return true;
}

bool suite_duration_of(const json_t *value, int64_t *ret_ms)
{
    if (json_is_string(value)) return duration_parse(json_string_value(value), ret_ms);
    AUTO_BUF struct buf text = { 0 };
    json_write(&text, value);
    return json_is_number(value) && duration_parse(text.data, ret_ms);
}

bool suite_duration(const struct reader *r, const json_t *value, const char *pointer,
                    int64_t *ret_ms)
{
    return suite_duration_of(value, ret_ms) ||
           fault(r, pointer, "a duration is needed, as 250ms, 30s or 2m");
}

/* --- cases --- */

static bool read_case(const struct reader *r, struct trial_case *c, const json_t *value)
{
    uint32_t column;
    const struct mocks_place at = { r->suite->path, r->suite->positions };
    positions_find(r->suite->positions, c->pointer, &c->line, &column);
    if (!suite_members(r, value, c->pointer, "name description input mocks events expect"))
        return false;
    c->name = json_text(value, "name");
    if (!c->name || !*c->name) return fault(r, c->pointer, "a case needs a name");
    json_t *input = json_object_get(value, "input");
    c->input = input ? json_incref(input) : json_object();
    AUTO_FREE char *mocks = xasprintf("%s/mocks", c->pointer);
    return mocks_read(&c->mocks, r->suite->def, json_object_get(value, "mocks"), mocks,
                      MOCK_NOOP | MOCK_CHILD, &at, r->e) &&
           suite_events(r, c, json_object_get(value, "events")) &&
           suite_expect(r, c, json_object_get(value, "expect"));
}

static bool read_cases(const struct reader *r)
{
    struct trial_suite *s = r->suite;
    const json_t *list = json_object_get(s->value, "cases");
    size_t count = json_array_size(list);
    if (!count) return fault(r, "/cases", "cases wants a list with at least one case");
    if (count > CASES_MAX) return fault(r, "/cases", "more than %d cases", CASES_MAX);
    s->cases = xcalloc(count, sizeof *s->cases);
    for (size_t i = 0; i < count; i++) {
        struct trial_case *c = &s->cases[s->count++];
        c->pointer = xasprintf("/cases/%zu", i);
        if (!read_case(r, c, json_array_get(list, i))) return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(s->cases[k].name, c->name) == 0)
                return fault(r, c->pointer, "there is a case of this name on line %u already",
                             s->cases[k].line);
    }
    return true;
}

static bool read_workflow(struct trial_suite *s, struct faults *ret_faults, struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    s->workflow_path = workflow_path_of(s->path, json_text(s->value, "workflow"));
    if (!file_read(s->workflow_path, DEFINITION_BYTES_MAX, &text, e))
        return err_prefix(e, "%s: its workflow", s->path);
    s->def = definition_parse(buf_bytes(&text), ret_faults);
    return s->def != NULL;
}

bool trial_suite_read(const char *path, struct trial_suite *ret, struct faults *ret_faults,
                      struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    uint32_t line = 0, column = 0;
    *ret = (struct trial_suite){ .path = xstrdup(path) };
    const struct reader r = { .suite = ret, .e = e };
    if (!file_read(path, SUITE_BYTES_MAX, &text, e)) return false;
    ret->value = yaml_parse(buf_bytes(&text), &ret->positions, &line, &column, e);
    if (!ret->value) return err_prefix(e, "%s:%u:%u", path, line, column);
    if (!suite_members(&r, ret->value, "", "workflow description mocks cases")) return false;
    const json_t *name = json_object_get(ret->value, "workflow");
    if (name && !json_is_string(name))
        return fault(&r, "/workflow", "workflow is the name of a file, beside this one");
    if (!name && !trial_path_is_suite(path))
        return fault(&r, "",
                     "it needs a member workflow, the name of a file: that of this one "
                     "does not end in .test.yaml");
    if (!read_workflow(ret, ret_faults, e)) return false;
    const struct mocks_place at = { path, ret->positions };
    return mocks_read(&ret->mocks, ret->def, json_object_get(ret->value, "mocks"), "/mocks",
                      MOCK_NOOP | MOCK_CHILD, &at, e) &&
           read_cases(&r);
}

void trial_suite_done(struct trial_suite *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct trial_case *c = &s->cases[i];
        mocks_done(&c->mocks);
        json_decref(c->input);
        free(c->events);
        free(c->pointer);
    }
    free(s->cases);
    mocks_done(&s->mocks);
    definition_free(s->def);
    positions_free(s->positions);
    json_decref(s->value);
    free(s->path);
    free(s->workflow_path);
}
