/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that the engine does by itself, in no time: set, transform, rollback, return, fail; and
 * workflow, which it leaves to another run.
 */
#include "common/definition/kinds.h"

bool is_identifier(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return *text && !(*text >= '0' && *text <= '9') && !text[strspn(text, letters)] &&
           strlen(text) <= NAME_BYTES_MAX;
}

void compile_set(struct node n, struct step_def *s)
{
    struct compiler *c = n.c;
    struct node vars = node_get(n, "vars");
    if (!vars.value) {
        fault(n, "a step of type set needs 'vars'");
        return;
    }
    if (!is_object(vars, "'vars'")) return;
    if (json_object_size(vars.value) == 0) fault(vars, "'vars' must not be empty");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)vars.value, name, value) {
        if (!is_identifier(name))
            fault_key(
                node_get(vars, name),
                "a variable's name has letters, digits and _, so that expressions can use it");
        GROW(c->vars, c->var_count, c->var_cap);
        c->vars[c->var_count++] = name;
    }
    s->value = read_template(vars, 0);
}

void compile_transform(struct node n, struct step_def *s)
{
    struct node value = node_get(n, "value");
    if (value.value)
        s->value = read_template(value, 0);
    else
        fault(n, "a step of type transform needs a 'value', the template of its output");
}

/* The `output` of return is the run's; steps.c has not read it as a mapping. */
void compile_return(struct node n, struct step_def *s)
{
    struct node output = node_get(n, "output");
    if (output.value) s->value = read_template(output, 0);
}

/* {"type", "message", "details"}; a text is the message. */
void compile_fail(struct node n, struct step_def *s)
{
    static const char *const members[] = { "type", "message", "details" };
    struct node error = node_get(n, "error"), type = node_get(error, "type");
    size_t faults = n.c->faults->count;
    AUTO_JSON *object = json_pack("{s:s}", "type", error_type_name(ERROR_REJECTED));
    enum error_type known;
    if (!error.value) {
        fault(n, "a step of type fail needs an 'error': a text, or {type, message, details}");
        return;
    }
    if (json_is_string(error.value)) {
        set_part(object, "message", text_part(n, "error", 0));
    } else if (is_object(error, "'error'")) {
        check_members(error, "'error'", members, ARRAY_LEN(members), NULL, 0);
        if (!json_object_get(error.value, "message")) fault(error, "'error' needs a 'message'");
        if (type.value && read_error_type(type, &known))
            json_object_set(object, "type", (json_t *)type.value);
        set_part(object, "message", text_part(error, "message", 0));
        set_part(object, "details", part(error, "details", 0));
    }
    if (n.c->faults->count == faults) s->value = build_template(n.c, object);
}

/* Which step `to` names is looked up when all are known (refs.c). */
void compile_rollback(struct node n, struct step_def *s)
{
    struct node to = node_get(n, "to");
    if (s->scope)
        fault(n, "a step of type rollback is not supported inside a map or a loop by this version");
    if (to.value) (void)check_name(to, "'to'");
}

void compile_workflow_step(struct node n, struct step_def *s)
{
    static const char *const words[] = { "cancel", "abandon" };
    struct node name = node_get(n, "workflow"), input = node_get(n, "input");
    struct node wait = node_get(n, "wait"), close = node_get(n, "on_parent_close");
    if (!name.value)
        fault(n, "a step of type workflow needs the name of a 'workflow'");
    else if (check_name(name, "'workflow'"))
        s->child = json_string_value(name.value);
    (void)read_text(n, "version", &s->child_version);
    if (input.value) s->input = read_template(input, 0);
    if (wait.value && !json_is_boolean(wait.value)) fault(wait, "'wait' must be true or false");
    s->child_detached = json_is_false(wait.value);
    if (close.value) s->child_abandoned = read_word(close, words, ARRAY_LEN(words)) == 1;
}
