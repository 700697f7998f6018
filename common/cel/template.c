/* SPDX-License-Identifier: Apache-2.0
 *
 * A template is compiled into a flat list of operations: JSON text that is copied as it stands, and
 * between it values and strings to fill in. Evaluating writes straight into the buffer of the
 * message; a string that is one ${path} copies the bytes of that path, without parsing them.
 */
#include "common/cel/template.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/cel/check.h"
#include "common/cel/internal.h"

/* Where template_eval_json has no limit of its caller. */
#define JSON_BYTES_MAX (16 * MIB)

/* A part of a string: literal text, or an expression. */
struct piece {
    struct cel *cel;    /* owned; NULL: literal */
    const char *secret; /* the expression is secrets.NAME: this name, borrowed from cel */
    char *text;         /* owned: of a literal */
    size_t len;         /* of text */
    size_t offset;      /* of the expression, in bytes of the string */
};

enum op_kind { OP_COPY, OP_VALUE, OP_TEXT };

struct template_op {
    enum op_kind kind;
    int depth;            /* how many lists and maps are open around it */
    char *bytes;          /* COPY: owned */
    size_t len;           /* COPY */
    char *pointer;        /* VALUE, TEXT: owned; of the string */
    struct piece *pieces; /* VALUE: one; TEXT: any; owned */
    size_t piece_count;
};

struct template
{
    struct template_op *ops;
    size_t count;
};

/* --- compiling --- */

struct builder {
    struct template *t;
    struct buf copy;    /* what the next OP_COPY holds */
    struct buf pointer; /* of the value at hand */
    int depth;
    size_t *ret_offset;
    struct err *e;
};

static void pieces_done(struct piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cel_free(pieces[i].cel);
        free(pieces[i].text);
    }
    free(pieces);
}

struct template *template_free(struct template *t)
{
    if (!t) return NULL;
    for (size_t i = 0; i < t->count; i++) {
        free(t->ops[i].bytes);
        free(t->ops[i].pointer);
        pieces_done(t->ops[i].pieces, t->ops[i].piece_count);
    }
    free(t->ops);
    free(t);
    return NULL;
}

static struct template_op *add_op(struct builder *b, enum op_kind kind)
{
    struct template *t = b->t;
    t->ops = xrealloc(t->ops, (t->count + 1) * sizeof *t->ops);
    t->ops[t->count] = (struct template_op){ .kind = kind, .depth = b->depth };
    return &t->ops[t->count++];
}

static void flush_copy(struct builder *b)
{
    if (b->copy.len == 0) return;
    struct template_op *op = add_op(b, OP_COPY);
    op->bytes = buf_take(&b->copy, &op->len);
}

/* The pieces of one string while it is read. */
struct reader {
    struct piece *pieces;
    size_t count;
    struct buf literal;
};

static void reader_done(struct reader *r)
{
    pieces_done(r->pieces, r->count);
    buf_done(&r->literal);
}

static struct piece *add_piece(struct reader *r)
{
    r->pieces = xrealloc(r->pieces, (r->count + 1) * sizeof *r->pieces);
    r->pieces[r->count] = (struct piece){ 0 };
    return &r->pieces[r->count++];
}

static void flush_literal(struct reader *r)
{
    if (r->literal.len == 0) return;
    struct piece *piece = add_piece(r);
    piece->text = buf_take(&r->literal, &piece->len);
}

struct secret_use {
    bool found;
    size_t offset;
};

static void note_secret(void *user, const char *const *names, size_t count, size_t offset)
{
    struct secret_use *use = user;
    (void)count;
    if (use->found || strcmp(names[0], "secrets") != 0) return;
    *use = (struct secret_use){ .found = true, .offset = offset };
}

/* A secret may only be all of an expression, so that nothing can look into it. */
static bool check_secret(struct builder *b, struct piece *piece, struct bytes source)
{
    struct secret_use use = { 0 };
    size_t count;
    cel_paths(piece->cel, note_secret, &use);
    if (!use.found) return true;
    const char *const *names = cel_as_path(piece->cel, &count);
    if (names && count == 2) {
        piece->secret = names[1];
        return true;
    }
    *b->ret_offset = piece->offset + use.offset;
    err_fail(b->e, ERR_INVALID,
             "a secret may only be used as ${secrets.NAME}, not inside an expression");
    return source_fail(source, use.offset, b->e);
}

/* The expression after the "${" that ends at *at; *at moves behind its "}". */
static bool read_expression(struct builder *b, struct reader *r, struct bytes text, size_t *at)
{
    struct bytes rest = { text.data + *at, text.len - *at };
    size_t end, fault;
    struct cel *cel = cel_compile_braced(rest, &end, &fault, b->e);
    if (!cel) {
        *b->ret_offset = *at + fault;
        return false;
    }
    struct piece *piece = add_piece(r);
    piece->cel = cel;
    piece->offset = *at;
    *at += end + 1;
    return check_secret(b, piece, rest);
}

static bool read_pieces(struct builder *b, struct reader *r, struct bytes text)
{
    for (size_t at = 0; at < text.len;) {
        const char *p = text.data + at;
        size_t left = text.len - at;
        if (left >= 3 && memcmp(p, "$${", 3) == 0) {
            buf_add_text(&r->literal, "${");
            at += 3;
        } else if (left >= 2 && memcmp(p, "${", 2) == 0) {
            flush_literal(r);
            at += 2;
            if (!read_expression(b, r, text, &at)) return false;
        } else {
            buf_add_char(&r->literal, *p);
            at++;
        }
    }
    flush_literal(r);
    return true;
}

static bool compile_string(struct builder *b, struct bytes text)
{
    if (!memmem(text.data, text.len, "${", 2)) {
        buf_add_json_string(&b->copy, text.data, text.len);
        return true;
    }
    CLEANUP(reader_done) struct reader r = { 0 };
    if (!read_pieces(b, &r, text)) return false;
    if (r.count == 1 && !r.pieces[0].cel) { /* nothing but $${ */
        buf_add_json_string(&b->copy, r.pieces[0].text, r.pieces[0].len);
        return true;
    }
    flush_copy(b);
    bool is_value = r.count == 1 && !r.pieces[0].secret;
    struct template_op *op = add_op(b, is_value ? OP_VALUE : OP_TEXT);
    op->pointer = xstrndup(b->pointer.data ? b->pointer.data : "", b->pointer.len);
    op->piece_count = r.count;
    op->pieces = TAKE(r.pieces);
    r.count = 0;
    return true;
}

static bool compile_value(struct builder *b, const json_t *value);

/* A member, with its step added to the pointer: RFC 6901 escapes ~ and /. On failure the pointer
 * stays where the fault is. */
static bool compile_member(struct builder *b, const char *step, const json_t *value)
{
    size_t mark = b->pointer.len;
    buf_add_char(&b->pointer, '/');
    for (; *step; step++) {
        if (*step == '~')
            buf_add_text(&b->pointer, "~0");
        else if (*step == '/')
            buf_add_text(&b->pointer, "~1");
        else
            buf_add_char(&b->pointer, *step);
    }
    if (!compile_value(b, value)) return false;
    b->pointer.len = mark;
    b->pointer.data[mark] = '\0';
    return true;
}

static bool compile_array(struct builder *b, const json_t *list)
{
    buf_add_char(&b->copy, '[');
    for (size_t i = 0; i < json_array_size(list); i++) {
        AUTO_BUF struct buf step = { 0 };
        buf_add_int(&step, (int64_t)i);
        if (i) buf_add_char(&b->copy, ',');
        if (!compile_member(b, step.data, json_array_get(list, i))) return false;
    }
    buf_add_char(&b->copy, ']');
    return true;
}

static bool compile_object(struct builder *b, const json_t *map)
{
    const char *key;
    json_t *value;
    bool first = true;
    buf_add_char(&b->copy, '{');
    json_object_foreach((json_t *)map, key, value) {
        if (!first) buf_add_char(&b->copy, ',');
        first = false;
        buf_add_json_string(&b->copy, key, strlen(key));
        buf_add_char(&b->copy, ':');
        if (!compile_member(b, key, value)) return false;
    }
    buf_add_char(&b->copy, '}');
    return true;
}

static bool compile_value(struct builder *b, const json_t *value)
{
    bool ok;
    if (b->depth >= JSON_DEPTH_MAX)
        return err_fail(b->e, ERR_LIMIT, "the value nests deeper than %d", JSON_DEPTH_MAX);
    switch (json_typeof(value)) {
    case JSON_STRING:
        return compile_string(
            b, (struct bytes){ json_string_value(value), json_string_length(value) });
    case JSON_ARRAY:
    case JSON_OBJECT:
        b->depth++;
        ok = json_is_array(value) ? compile_array(b, value) : compile_object(b, value);
        b->depth--;
        return ok;
    default: return json_encode(&b->copy, value, SIZE_MAX, b->depth, b->e);
    }
}

/* A pointer of any length as the beginning of a message. */
static bool fail_in(struct err *e, const char *pointer)
{
    return *pointer ? err_prefix(e, "%.*s", SHOWN(pointer)) : false;
}

struct template *template_compile(const json_t *value, char **ret_pointer, size_t *ret_offset,
                                  struct err *e)
{
    size_t offset = 0;
    struct err local;
    CLEANUP(template_free_p) struct template *t = xcalloc(1, sizeof *t);
    struct builder b = { .t = t, .ret_offset = &offset, .e = e ? e : &local };
    bool ok = compile_value(&b, value);
    if (ok) flush_copy(&b);
    buf_done(&b.copy);
    AUTO_FREE char *pointer = buf_take(&b.pointer, NULL);
    if (ok) return TAKE(t);
    fail_in(e, pointer);
    if (ret_pointer) *ret_pointer = TAKE(pointer);
    if (ret_offset) *ret_offset = offset;
    return NULL;
}

static bool check_op(const struct template_op *op, size_t *ret_offset, struct err *e)
{
    for (size_t i = 0; i < op->piece_count; i++) {
        const struct piece *piece = &op->pieces[i];
        CLEANUP(scope_done) struct scope scope = { 0 };
        const struct type *type;
        size_t offset;
        if (!piece->cel || cel_check(piece->cel, NULL, &scope, &type, &offset, e)) continue;
        *ret_offset = piece->offset + offset;
        return false;
    }
    return true;
}

bool template_check(const struct template *t, char **ret_pointer, size_t *ret_offset, struct err *e)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct template_op *op = &t->ops[i];
        size_t offset;
        if (check_op(op, &offset, e)) continue;
        fail_in(e, op->pointer);
        if (ret_pointer) *ret_pointer = xstrdup(op->pointer);
        if (ret_offset) *ret_offset = offset;
        return false;
    }
    return true;
}

bool template_is_constant(const struct template *t)
{
    return t->count == 1 && t->ops[0].kind == OP_COPY;
}

/* --- evaluating --- */

/* How deep the brackets of well-formed JSON nest. */
static int raw_depth(struct bytes raw)
{
    int depth = 0, depth_max = 0;
    bool in_string = false;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            depth_max = MAX(depth_max, depth + 1);
            depth++;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return depth_max;
}

/* A level takes two bytes, so that a short text needs no look. */
static bool raw_fits(struct bytes raw, int depth)
{
    if (depth == 0 || (size_t)depth + raw.len / 2 < JSON_DEPTH_MAX) return true;
    return depth + raw_depth(raw) < JSON_DEPTH_MAX;
}

/* What an evaluation writes to. */
struct output {
    struct template_env *env;
    struct buf *ret;
    size_t len_max;   /* of ret */
    size_t bytes_max; /* of what is added: for messages */
    struct err *e;
};

static bool too_large(struct output *out)
{
    return err_fail(out->e, ERR_LIMIT, "the result is larger than %zu bytes", out->bytes_max);
}

static bool write_value(struct output *out, struct buf *to, const json_t *value, int depth)
{
    if (json_encode(to, value, out->len_max, depth, out->e)) return true;
    return to->len > out->len_max ? too_large(out) : false;
}

static bool eval_value(struct output *out, const struct template_op *op)
{
    const struct cel *cel = op->pieces[0].cel;
    struct bytes raw;
    size_t count;
    const char *const *names = out->env->raw ? cel_as_path(cel, &count) : NULL;
    if (names && out->env->raw(out->env->cel.user, names, count, &raw)) {
        if (!raw_fits(raw, op->depth))
            return err_fail(out->e, ERR_LIMIT, "the result nests deeper than %d", JSON_DEPTH_MAX);
        if (raw.len > out->len_max - out->ret->len) return too_large(out);
        buf_add(out->ret, raw.data, raw.len);
        return true;
    }
    AUTO_JSON *value = NULL;
    return cel_eval(cel, &out->env->cel, &value, out->e) &&
           write_value(out, out->ret, value, op->depth);
}

static bool note_ref(struct output *out, const struct template_op *op, const char *name,
                     size_t offset)
{
    struct secret_refs *refs = out->env->secrets;
    if (!refs) return err_fail(out->e, ERR_INVALID, "secrets may not be used here");
    refs->refs = xrealloc(refs->refs, (refs->count + 1) * sizeof *refs->refs);
    refs->refs[refs->count++] = (struct secret_ref){ .pointer = xstrdup(op->pointer),
                                                     .offset = (uint32_t)offset,
                                                     .name = xstrdup(name) };
    return true;
}

/* Text is copied once more, which costs as it does in an expression. */
static bool charge_text(struct output *out, size_t bytes)
{
    struct cel_env *env = &out->env->cel;
    uint64_t cost_max = env->cost_max ? env->cost_max : CEL_COST_MAX;
    env->cost += bytes / 16;
    return env->cost <= cost_max ||
           err_fail(out->e, ERR_LIMIT, "the template costs more than %llu steps",
                    (unsigned long long)cost_max);
}

static bool eval_piece(struct output *out, const struct template_op *op, const struct piece *piece,
                       struct buf *text)
{
    if (!piece->cel) {
        buf_add(text, piece->text, piece->len);
        return true;
    }
    if (piece->secret) return note_ref(out, op, piece->secret, text->len);
    AUTO_JSON *value = NULL;
    size_t before = text->len;
    if (!cel_eval(piece->cel, &out->env->cel, &value, out->e)) return false;
    if (json_is_string(value))
        buf_add(text, json_string_value(value), json_string_length(value));
    else if (!write_value(out, text, value, 0))
        return false;
    return charge_text(out, text->len - before);
}

static bool eval_text(struct output *out, const struct template_op *op)
{
    AUTO_BUF struct buf text = { 0 };
    for (size_t i = 0; i < op->piece_count; i++) {
        if (!eval_piece(out, op, &op->pieces[i], &text)) return false;
        if (text.len > out->len_max) return too_large(out);
    }
    buf_add_json_string(out->ret, text.data ? text.data : "", text.len);
    return true;
}

static bool eval_op(struct output *out, const struct template_op *op)
{
    switch (op->kind) {
    case OP_COPY: buf_add(out->ret, op->bytes, op->len); return true;
    case OP_VALUE: return eval_value(out, op);
    case OP_TEXT: return eval_text(out, op);
    }
    return false;
}

/* Forgets what a failed evaluation has noted. */
static void drop_refs(struct secret_refs *refs, size_t count)
{
    while (refs && refs->count > count) {
        struct secret_ref *ref = &refs->refs[--refs->count];
        free(ref->pointer);
        free(ref->name);
    }
}

bool template_eval(const struct template *t, struct template_env *env, size_t bytes_max,
                   struct buf *ret, struct err *e)
{
    size_t before = ret->len, refs = env->secrets ? env->secrets->count : 0;
    struct err local;
    struct output out = { .env = env, .ret = ret, .bytes_max = bytes_max, .e = e ? e : &local };
    if (__builtin_add_overflow(before, bytes_max, &out.len_max)) out.len_max = SIZE_MAX;
    for (size_t i = 0; i < t->count; i++) {
        const struct template_op *op = &t->ops[i];
        bool ok = eval_op(&out, op);
        if (ok && ret->len <= out.len_max) continue;
        if (ok) too_large(&out);
        if (op->pointer) fail_in(out.e, op->pointer);
        ret->len = before;
        if (ret->data) ret->data[before] = '\0';
        drop_refs(env->secrets, refs);
        return false;
    }
    return true;
}

bool template_eval_json(const struct template *t, struct template_env *env, json_t **ret,
                        struct err *e)
{
    const struct template_op *first = t->ops;
    if (t->count == 1 && first->kind == OP_VALUE)
        return cel_eval(first->pieces[0].cel, &env->cel, ret, e) || fail_in(e, first->pointer);
    AUTO_BUF struct buf text = { 0 };
    if (!template_eval(t, env, JSON_BYTES_MAX, &text, e)) return false;
    *ret = json_parse(buf_bytes(&text), e);
    return *ret != NULL;
}

/* --- paths --- */

struct path_visit {
    void (*fn)(void *user, const char *pointer, const char *const *names, size_t count,
               size_t offset);
    void *user;
    const char *pointer;
    size_t offset; /* of the expression in the string */
};

static void visit_path(void *user, const char *const *names, size_t count, size_t offset)
{
    const struct path_visit *v = user;
    v->fn(v->user, v->pointer, names, count, v->offset + offset);
}

void template_paths(const struct template *t,
                    void (*fn)(void *user, const char *pointer, const char *const *names,
                               size_t count, size_t offset),
                    void *user)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct template_op *op = &t->ops[i];
        for (size_t k = 0; k < op->piece_count; k++) {
            if (!op->pieces[k].cel) continue;
            struct path_visit v = { fn, user, op->pointer, op->pieces[k].offset };
            cel_paths(op->pieces[k].cel, visit_path, &v);
        }
    }
}
