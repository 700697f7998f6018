/* SPDX-License-Identifier: Apache-2.0
 *
 * Watching a run: its stored fields are read every 150 ms. What happened is taken from the
 * transitions, which the engine numbers, so that a step that was faster than a look is still seen.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/runs.h"
#include "common/base/clock.h"
#include "common/base/map.h"

#define LOOK_MS     150
#define NAME_WIDTH  24
#define KIND_WIDTH  15
#define BAR_COLUMNS 12
/* After so long without an orchestrator a person should be told. */
#define LONELY_MS 15000

enum watch_mode watch_mode_of(const struct cli *cli)
{
    return cli->config->json ? WATCH_JSON : cli->out.tty ? WATCH_BLOCK : WATCH_LINES;
}

/* --- lines --- */

void runs_clock(int64_t wall_ms, char ret[16])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (!localtime_r(&seconds, &tm) || strftime(ret, 16, "%H:%M:%S", &tm) == 0)
        memcpy(ret, "--:--:--", 9);
}

void runs_change_line(struct buf *ret, const struct change *t)
{
    char clock[16];
    runs_clock(t->record_ms, clock);
    buf_addf(ret, "%s ", clock);
    term_text(ret, bytes_of(*t->path ? t->path : "run"), false);
    buf_add_char(ret, ' ');
    term_text(ret, bytes_of(t->state), false);
    if (t->attempt > 1) buf_addf(ret, " (attempt %" PRId64 ")", t->attempt);
    if (t->why) {
        buf_add_text(ret, ": ");
        term_text(ret, bytes_of(t->why), false);
    }
    buf_add_char(ret, '\n');
}

/* --- the block --- */

/* A step as it is drawn. */
struct row {
    char *path; /* owned */
    const char *kind;
    uint32_t depth;
    uint32_t step; /* index in the definition; NO_INDEX without one */
    enum step_state state;
    int64_t attempt, started_ms, ended_ms;
    char why[40];
};

struct rows {
    struct row *list;
    size_t count;
    struct map by_path;
    int64_t started_ms, ended_ms; /* of the run */
};

static void rows_done(struct rows *rows)
{
    map_done(&rows->by_path);
    for (size_t i = 0; i < rows->count; i++) free(rows->list[i].path);
    free(rows->list);
}

static uint32_t depth_of(const struct definition *def, uint32_t step)
{
    uint32_t depth = 0;
    for (;;) {
        step = def->blocks[def->steps[step].block].parent_step;
        if (step == NO_INDEX) return depth;
        depth++;
    }
}

static enum step_state state_find(const char *text)
{
    for (int s = 0; s < STEP_STATE_COUNT; s++)
        if (strcmp(step_state_name((enum step_state)s), text) == 0) return (enum step_state)s;
    return STEP_STATE_PENDING;
}

static void fold_change(void *user, const struct change *t)
{
    struct rows *rows = user;
    if (!*t->path) {
        if (rows->started_ms == 0) rows->started_ms = t->record_ms;
        rows->ended_ms = t->record_ms;
        return;
    }
    struct row *row = map_get(&rows->by_path, bytes_of(t->path));
    if (!row) return;
    row->state = state_find(t->state);
    row->attempt = MAX(row->attempt, t->attempt);
    if (row->started_ms == 0) row->started_ms = t->record_ms;
    row->ended_ms = step_state_terminal(row->state) ? t->record_ms : 0;
    row->why[0] = '\0';
    if (t->why) strncat(row->why, t->why, sizeof(row->why) - 1);
}

/* Without a definition the steps are those that a transition names. */
static void collect_path(void *user, const struct change *t)
{
    struct rows *rows = user;
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->list[i].path, t->path) == 0) return;
    if (!*t->path) return;
    rows->list = xrealloc(rows->list, (rows->count + 1) * sizeof(*rows->list));
    rows->list[rows->count++] =
        (struct row){ .path = xstrdup(t->path), .kind = "", .step = NO_INDEX };
}

static struct rows rows_of(const struct view *v)
{
    struct rows rows = { 0 };
    const struct definition *def = v->def;
    if (!def) runs_transitions(&v->fields, 0, collect_path, &rows);
    if (def) rows.list = xcalloc(def->step_count + 1, sizeof(*rows.list));
    for (uint32_t i = 0; def && i < def->step_count; i++) {
        const struct step_def *s = &def->steps[i];
        rows.list[rows.count++] = (struct row){ .path = xstrdup(s->path),
                                                .kind = step_kind_name(s->kind),
                                                .depth = depth_of(def, i),
                                                .step = i };
    }
    for (size_t i = 0; i < rows.count; i++)
        map_put(&rows.by_path, bytes_of(rows.list[i].path), &rows.list[i]);
    runs_transitions(&v->fields, 0, fold_change, &rows);
    return rows;
}

static void draw_symbol(struct buf *b, const struct term *t, enum step_state state, int64_t now_ms)
{
    switch (state) {
    case STEP_STATE_PENDING: term_styled(b, t, TERM_DIM, "·"); break;
    case STEP_STATE_ISSUED:
    case STEP_STATE_WAITING: term_styled(b, t, TERM_CYAN, term_spinner((uint64_t)now_ms)); break;
    case STEP_STATE_BACKOFF: term_styled(b, t, TERM_YELLOW, "↻"); break;
    case STEP_STATE_COMPLETED: term_styled(b, t, TERM_GREEN, "✓"); break;
    case STEP_STATE_FAILED: term_styled(b, t, TERM_RED, "✗"); break;
    case STEP_STATE_SKIPPED: term_styled(b, t, TERM_DIM, "○"); break;
    case STEP_STATE_CANCELLED: term_styled(b, t, TERM_YELLOW, "■"); break;
    case STEP_STATE_COUNT: break;
    }
}

/* What the model calls of the run took together; the engine keeps no sum per step. */
static int64_t tokens_of(const json_t *object)
{
    const json_t *usage = json_object_get(object, "usage");
    return json_int(usage, "tokens_in", 0) + json_int(usage, "tokens_out", 0);
}

/* How many of the steps below a step have ended, and how many there are. */
static size_t count_below(const struct rows *rows, const struct definition *def, uint32_t step,
                          size_t *ret_total)
{
    size_t done = 0;
    *ret_total = 0;
    for (size_t i = 0; def && step != NO_INDEX && i < rows->count; i++) {
        const struct row *row = &rows->list[i];
        if (def->blocks[def->steps[row->step].block].parent_step != step) continue;
        *ret_total += 1;
        done += step_state_terminal(row->state);
    }
    return done;
}

/* What is too long for its column pushes the next one away, and never touches it. */
static void add_column(struct buf *b, const char *text, size_t width)
{
    term_padded(b, text, width - 1);
    buf_add_char(b, ' ');
}

static void draw_row(struct buf *b, const struct term *t, const struct view *v,
                     const struct rows *rows, const struct row *row, int64_t now_ms)
{
    AUTO_BUF struct buf name = { 0 }, cell = { 0 };
    for (uint32_t d = 0; d <= row->depth; d++) buf_add_text(b, "  ");
    draw_symbol(b, t, row->state, now_ms);
    buf_add_char(b, ' ');
    term_text(&name, bytes_of(row->path), false);
    size_t width = NAME_WIDTH > 2 * row->depth ? NAME_WIDTH - 2 * row->depth : 1;
    add_column(b, name.data ? name.data : "", width);
    add_column(&cell, row->kind, KIND_WIDTH);
    term_styled(b, t, TERM_DIM, cell.data);
    buf_reset(&cell);
    if (row->started_ms && row->state != STEP_STATE_SKIPPED)
        term_duration(&cell, (row->ended_ms ? row->ended_ms : now_ms) - row->started_ms);
    term_padded(b, cell.data ? cell.data : "", 9);
    size_t total, done = count_below(rows, v->def, row->step, &total);
    if (total > 0 && row->state != STEP_STATE_PENDING && row->state != STEP_STATE_SKIPPED) {
        buf_add_char(b, ' ');
        term_bar(b, done, total, BAR_COLUMNS);
        buf_addf(b, " %zu/%zu", done, total);
    }
    if (row->attempt > 1) buf_addf(b, "  attempt %" PRId64, row->attempt);
    if (row->why[0] && row->state != STEP_STATE_COMPLETED) {
        buf_reset(&cell);
        term_text(&cell, bytes_of(row->why), false);
        buf_add_text(b, "  ");
        term_styled(b, t, TERM_RED, cell.data ? cell.data : "");
    } else if (row->state == STEP_STATE_SKIPPED || row->state == STEP_STATE_CANCELLED) {
        term_styled(b, t, TERM_DIM, step_state_name(row->state));
    }
}

static void draw_head(struct buf *b, const struct term *t, const struct view *v,
                      const struct rows *rows, int64_t now_ms)
{
    AUTO_BUF struct buf title = { 0 };
    const char *name = json_text(v->run, "workflow"), *version = json_text(v->run, "version");
    const char *status = runs_status(v->run);
    bool ended = runs_ended(v->run);
    term_text(&title, bytes_of(name ? name : "run"), false);
    if (version) {
        buf_add_char(&title, '@');
        term_text(&title, bytes_of(version), false);
    }
    term_styled(b, t, TERM_BOLD, title.data ? title.data : "");
    buf_add_text(b, "  ");
    term_styled(b, t,
                !ended                              ? TERM_CYAN
                : runs_exit_code(v->run) == EXIT_OK ? TERM_GREEN
                                                    : TERM_RED,
                status);
    buf_add_text(b, "  ");
    if (rows->started_ms) term_duration(b, (ended ? rows->ended_ms : now_ms) - rows->started_ms);
    int64_t tokens = tokens_of(v->run),
            micro_usd = json_int(json_object_get(v->run, "usage"), "micro_usd", 0);
    if (tokens > 0) buf_addf(b, "  %" PRId64 " tokens", tokens);
    if (micro_usd > 0)
        buf_addf(b, "  $%" PRId64 ".%04" PRId64, micro_usd / 1000000, micro_usd % 1000000 / 100);
}

size_t runs_block(struct buf *ret, const struct term *t, const struct view *v, int64_t now_ms,
                  size_t rows_max)
{
    CLEANUP(rows_done) struct rows rows = rows_of(v);
    size_t from = ret->len, lines = 2, first = 0, last = rows.count;
    draw_head(ret, t, v, &rows, now_ms);
    term_clip(ret, from, t->width - 1);
    AUTO_FREE char *id = xasprintf("run %s", v->id);
    buf_add_text(ret, "\n  ");
    term_styled(ret, t, TERM_DIM, id);
    /* Too many to draw: those around the one that moved last. */
    if (rows.count + 2 > rows_max) {
        size_t window = rows_max > 4 ? rows_max - 3 : 1, moved = 0;
        for (size_t i = 0; i < rows.count; i++)
            if (rows.list[i].state != STEP_STATE_PENDING) moved = i;
        first = moved + 1 > window / 2 ? moved + 1 - window / 2 : 0;
        first = MIN(first, rows.count - window);
        last = first + window;
    }
    for (size_t i = first; i < last; i++, lines++) {
        buf_add_text(ret, "\n");
        from = ret->len;
        draw_row(ret, t, v, &rows, &rows.list[i], now_ms);
        term_clip(ret, from, t->width - 1);
    }
    if (last - first < rows.count) {
        buf_addf(ret, "\n  … %zu more steps", rows.count - (last - first));
        lines++;
    }
    buf_add_char(ret, '\n');
    return lines;
}

/* --- watching --- */

struct watch {
    struct client *client;
    struct view *view;
    enum watch_mode mode;
    uint64_t next;       /* transition to print */
    size_t lines;        /* of the block on the screen */
    uint64_t started_ms; /* monotonic */
    bool lonely_said;
};

/* What cannot be written is not written again and again; the run is still waited for. */
static void put(struct watch *w, const struct buf *text)
{
    if (!cli_print(text)) w->mode = WATCH_QUIET;
}

static void print_line(void *user, const struct change *t)
{
    struct watch *w = user;
    AUTO_BUF struct buf line = { 0 };
    runs_change_line(&line, t);
    if (w->mode == WATCH_LINES) put(w, &line);
}

static void print_object(void *user, const struct change *t)
{
    struct watch *w = user;
    char when[TIME_TEXT_MAX];
    time_format(t->record_ms, when);
    AUTO_JSON *object =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s*}", "run_id", w->view->id, "time", when, "path",
                  t->path, "state", t->state, "attempt", (json_int_t)t->attempt, "why", t->why);
    AUTO_BUF struct buf line = { 0 };
    if (!object || w->mode != WATCH_JSON) return;
    json_write(&line, object);
    buf_add_char(&line, '\n');
    put(w, &line);
}

/* Moves up over the old block and writes the new one over it, so that nothing flickers. */
static void redraw(struct watch *w, const struct buf *block, size_t lines)
{
    AUTO_BUF struct buf out = { 0 };
    if (w->lines > 0) buf_addf(&out, "\x1b[%zuA", w->lines);
    for (const char *line = block->data; line && *line;) {
        const char *end = strchr(line, '\n');
        buf_add(&out, line, (size_t)(end - line));
        buf_add_text(&out, "\x1b[K\n");
        line = end + 1;
    }
    buf_add_text(&out, "\x1b[J");
    w->lines = lines;
    put(w, &out);
}

static void redraw_run(struct watch *w)
{
    const struct term *t = &w->client->cli->out;
    AUTO_BUF struct buf block = { 0 };
    size_t lines = runs_block(&block, t, w->view, clock_wall_ms(), t->height - 1);
    redraw(w, &block, lines);
}

/* The run is in the log, and no orchestrator has read it yet. */
static void redraw_waiting(struct watch *w)
{
    const struct term *t = &w->client->cli->out;
    AUTO_BUF struct buf line = { 0 };
    term_styled(&line, t, TERM_CYAN, term_spinner(clock_mono_ms()));
    buf_add_text(&line, " the run waits for an orchestrator  ");
    term_duration(&line, (int64_t)(clock_mono_ms() - w->started_ms));
    term_clip(&line, 0, t->width - 1);
    buf_add_char(&line, '\n');
    redraw(w, &line, 1);
}

static void show(struct watch *w)
{
    const struct run_fields *fields = &w->view->fields;
    switch (w->mode) {
    case WATCH_QUIET: break;
    case WATCH_LINES: w->next = runs_transitions(fields, w->next, print_line, w); break;
    case WATCH_JSON: w->next = runs_transitions(fields, w->next, print_object, w); break;
    case WATCH_BLOCK: redraw_run(w); break;
    }
}

static bool never(void *user)
{
    (void)user;
    return false;
}

/* A fresh run waits for an orchestrator: that is worth a word, but no error. */
static bool still_unknown(struct watch *w, struct err *e)
{
    bool fresh = w->view->fresh && w->view->run == NULL && e->kind == ERR_NOT_FOUND;
    if (fresh && w->mode == WATCH_BLOCK) {
        redraw_waiting(w);
        return true;
    }
    if (!fresh || clock_mono_ms() - w->started_ms < LONELY_MS || w->lonely_said) return fresh;
    cli_note(w->client->cli,
             "run %s has not been taken up yet: is a tutti-orchestrator running? still waiting",
             w->view->id);
    w->lonely_said = true;
    return true;
}

bool runs_watch(struct client *c, struct view *v, enum watch_mode mode, uint32_t timeout_ms,
                struct err *e)
{
    struct watch w = { .client = c, .view = v, .mode = mode, .started_ms = clock_mono_ms() };
    for (;;) {
        if (c->stop && *c->stop) return err_fail(e, ERR_INTERNAL, "interrupted");
        uint32_t grace_ms = v->run || v->fresh ? 0 : RUN_GRACE_MS;
        if (view_read(c, v, grace_ms, e))
            show(&w);
        else if (!still_unknown(&w, e))
            return false;
        if (v->run && runs_ended(v->run)) return true;
        if (timeout_ms > 0 && clock_mono_ms() - w.started_ms >= timeout_ms)
            return err_fail(e, ERR_TIMEOUT, "run %s has not ended within %u ms; it goes on", v->id,
                            timeout_ms);
        client_wait(c, never, NULL, LOOK_MS);
    }
}
