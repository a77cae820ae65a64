/* Runs a template's tree. Recursion follows the tree, whose depth the parser bounds, and calls of macros, which are
 * counted; both together are counted in vm.depth. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "text/template_internal.h"

enum { MAX_EVAL_DEPTH = 800 };
enum { JUMP_BREAK = 1, JUMP_CONTINUE };

typedef struct {
    str name; /* interned: compared by address */
    value value;
} variable;

struct scope {
    scope *parent;
    variable *vars;
    size_t n, room;
};

static value eval(vm *m, const node *n);
static void run(vm *m, const node *n);

/* ---- scopes ----------------------------------------------------------------------------------- */

static scope *new_scope(vm *m, scope *parent) {
    scope *s = vm_alloc(m, 1, sizeof *s);
    if (s) s->parent = parent;
    return s ? s : parent;
}

static void set_variable(vm *m, scope *s, str name, value v) {
    for (size_t i = 0; i < s->n; i++) {
        if (s->vars[i].name.p != name.p) continue;
        s->vars[i].value = v;
        return;
    }
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 4;
        variable *vars = heap_grow(&m->mem, s->vars, s->n * sizeof *vars, room * sizeof *vars);
        if (!vars) {
            vm_alloc(m, SIZE_MAX, 1);
            return;
        }
        s->vars = vars;
        s->room = room;
    }
    s->vars[s->n++] = (variable){name, v};
}

static value undefined_name(vm *m, str name, value_type owner) {
    undefined_hint *h = vm_alloc(m, 1, sizeof *h);
    if (h) *h = (undefined_hint){name, owner, false};
    return (value){.type = T_UNDEFINED, .u.hint = h};
}

static value get_variable(vm *m, str name) {
    for (const scope *s = m->scope; s; s = s->parent) {
        for (size_t i = 0; i < s->n; i++) {
            if (s->vars[i].name.p == name.p) return s->vars[i].value;
        }
    }
    const builtin *global = find_global(name);
    return global ? (value){.type = T_FUNCTION, .u.function = global} : undefined_name(m, name, T_ABSENT);
}

static void assign(vm *m, const node *target, value v) {
    if (m->failed) return;
    if (target->type == N_NAME) {
        set_variable(m, m->scope, target->name, v);
    } else if (target->type == N_NSREF) {
        value ns = get_variable(m, target->name);
        if (ns.type != T_NAMESPACE) {
            throw(m, "'%.*s' is no namespace(): nothing can be set in it", STR_ARG(target->name));
        } else if (*target->attribute.p == '_') {
            throw(m, "'%.*s': names in a namespace do not begin with _", STR_ARG(target->attribute));
        } else {
            dict_set(m, ns.u.dict, own_string(m, target->attribute), v);
        }
    } else {
        value items = to_list(m, v);
        size_t i = 0, n = m->failed ? 0 : items.u.list->n;
        for (const node *t = target->first; t && !m->failed; t = t->next, i++) {
            if (i < n) assign(m, t, items.u.list->items[i]);
        }
        if (i != n) throw(m, "%zu values cannot be unpacked into %zu variables", n, i);
    }
}

/* ---- calls ------------------------------------------------------------------------------------ */

typedef struct {
    value args; /* T_LIST */
    dict *named;
} arguments;

static void add_all(vm *m, value list_value, value more) {
    value items = to_list(m, more);
    for (size_t i = 0; !m->failed && i < items.u.list->n; i++) list_add(m, list_value, items.u.list->items[i]);
}

static void add_named(vm *m, arguments *a, value key, value v) {
    if (!a->named) a->named = new_dict(m).u.dict;
    if (a->named && dict_find(m, a->named, key)) throw(m, "an argument is given twice");
    dict_set(m, a->named, key, v);
}

static arguments eval_arguments(vm *m, const node *first) {
    arguments a = {new_list(m, T_LIST, 2), NULL};
    for (const node *n = first; n && !m->failed; n = n->next) {
        if (n->type == N_KEYWORD) {
            add_named(m, &a, own_string(m, n->name), eval(m, n->first));
        } else if (n->type == N_STAR) {
            add_all(m, a.args, eval(m, n->first));
        } else if (n->type == N_STARSTAR) {
            value more = eval(m, n->first);
            if (more.type != T_DICT) throw(m, "** takes a dict");
            for (size_t i = 0; !m->failed && i < more.u.dict->n; i++)
                add_named(m, &a, more.u.dict->entries[i].key, more.u.dict->entries[i].value);
        } else {
            list_add(m, a.args, eval(m, n));
        }
    }
    return a;
}

static str special_name(const vm *m, size_t which) { return m->t->names.names[which]; }

/* Binds a macro's parameters, and what its body reads of varargs, kwargs and caller, in the current scope. */
static void bind(vm *m, const node *mac, const value *args, size_t n, dict *named) {
    size_t n_params = 0;
    value extra = new_list(m, T_TUPLE, 0), others = new_dict(m), caller = ABSENT;
    for (const node *p = mac->params; p && !m->failed; p = p->next, n_params++) {
        const value *by_name = named ? dict_find_str(m, named, p->name) : NULL;
        if (n_params < n && by_name)
            throw(m, "macro '%.*s': '%.*s' is given twice", STR_ARG(mac->name), STR_ARG(p->name));
        value v = n_params < n ? args[n_params] : by_name ? *by_name : ABSENT;
        if (!given(v)) v = p->first ? eval(m, p->first) : undefined_name(m, p->name, T_ABSENT);
        set_variable(m, m->scope, p->name, v);
    }
    for (size_t i = n_params; i < n; i++) list_add(m, extra, args[i]);
    for (size_t i = 0; named && i < named->n && !m->failed; i++) {
        value key = named->entries[i].key;
        bool param = false;
        for (const node *p = mac->params; p; p = p->next) param |= is_string(key) && str_eq(view(key), p->name);
        if (param) continue;
        if ((mac->reads & READS_CALLER) && is_string(key) && str_is(view(key), "caller"))
            caller = named->entries[i].value;
        else
            dict_set(m, others.u.dict, key, named->entries[i].value);
    }
    if (m->failed) return;
    if (n > n_params && !(mac->reads & READS_VARARGS))
        throw(m, "macro '%.*s' takes %zu arguments, not %zu", STR_ARG(mac->name), n_params, n);
    if (others.u.dict->n > 0 && !(mac->reads & READS_KWARGS))
        throw(m, "macro '%.*s' takes no argument named '%.*s'", STR_ARG(mac->name),
              STR_ARG(view(others.u.dict->entries[0].key)));
    if (!given(caller)) caller = undefined_name(m, STR("caller"), T_ABSENT);
    if (mac->reads & READS_CALLER) set_variable(m, m->scope, special_name(m, NAME_CALLER), caller);
    if (mac->reads & READS_VARARGS) set_variable(m, m->scope, special_name(m, NAME_VARARGS), extra);
    if (mac->reads & READS_KWARGS) set_variable(m, m->scope, special_name(m, NAME_KWARGS), others);
}

/* What the statements print, as a string. */
static value capture(vm *m, const node *body) {
    text t = {.m = m}, *outer = m->out;
    m->out = &t;
    run(m, body);
    m->out = outer;
    return text_value(&t);
}

static value call_macro(vm *m, const macro *mac, const value *args, size_t n, dict *named) {
    if (m->macro_depth >= TEMPLATE_MAX_DEPTH)
        return throw(m, "macros call each other deeper than %d", TEMPLATE_MAX_DEPTH);
    scope *outer = m->scope;
    uint32_t line = m->line;
    m->macro_depth++;
    m->scope = new_scope(m, mac->scope);
    bind(m, mac->node, args, n, named);
    value out = m->failed ? UNDEFINED : capture(m, mac->node->body);
    m->scope = outer;
    m->macro_depth--;
    if (!m->failed) m->line = line;
    return out;
}

value call_value(vm *m, value f, const value *args, size_t n, dict *named) {
    if (m->failed || !spend(m, 0)) return UNDEFINED;
    switch (f.type) {
    case T_MACRO: return call_macro(m, f.u.macro, args, n, named);
    case T_FUNCTION: return call_builtin(m, f.u.function, ABSENT, args, n, named);
    case T_METHOD: return call_builtin(m, f.u.method->row, f.u.method->self, args, n, named);
    case T_UNDEFINED: return throw_undefined(m, f);
    default: return throw(m, "a %s cannot be called", type_name(f));
    }
}

/* ---- expressions ------------------------------------------------------------------------------ */

static value eval_items(vm *m, const node *n, value_type type) {
    value out = new_list(m, type, 2);
    for (const node *item = n->first; item && !m->failed; item = item->next) list_add(m, out, eval(m, item));
    return out;
}

static value eval_dict(vm *m, const node *n) {
    value out = new_dict(m);
    for (const node *key = n->first; key && key->next && !m->failed; key = key->next->next) {
        value k = eval(m, key), v = eval(m, key->next);
        dict_set(m, out.u.dict, k, v);
    }
    return out;
}

static value eval_math(vm *m, const node *n) {
    value v = eval(m, n->first);
    for (const node *o = n->first->next; o && !m->failed; o = o->next)
        v = binary(m, (binary_op)o->op, v, eval(m, o->first));
    return v;
}

static value eval_concat(vm *m, const node *n) {
    text t = {.m = m};
    text_add_value(&t, eval(m, n->first));
    for (const node *o = n->first->next; o && !m->failed; o = o->next) text_add_value(&t, eval(m, o->first));
    return text_value(&t);
}

static bool compare_by(vm *m, compare_op op, value a, value b) {
    if (m->failed) return false;
    if (op == CMP_EQ || op == CMP_NE) return equal(m, a, b) == (op == CMP_EQ);
    if (op == CMP_IN || op == CMP_NOT_IN) return contains(m, b, a) == (op == CMP_IN);
    int order = compare(m, a, b);
    if (order == 2) return false; /* NaN */
    return op == CMP_LT ? order < 0 : op == CMP_LE ? order <= 0 : op == CMP_GT ? order > 0 : order >= 0;
}

static value eval_compare(vm *m, const node *n) {
    value left = eval(m, n->first);
    for (const node *o = n->first->next; o && !m->failed; o = o->next) {
        value right = eval(m, o->first);
        if (!compare_by(m, (compare_op)o->op, left, right)) return bool_value(false);
        left = right;
    }
    return bool_value(true);
}

static value eval_junction(vm *m, const node *n, bool is_or) {
    value v = UNDEFINED;
    for (const node *o = n->first; o && !m->failed; o = o->next) {
        v = eval(m, o);
        if (truth(v) == is_or) break;
    }
    return v;
}

static value eval_item(vm *m, value v, const node *key) {
    if (key->type != N_SLICE) return get_item(m, v, eval(m, key));
    value part[3];
    const node *n = key->first;
    for (int i = 0; i < 3; i++, n = n->next) part[i] = n->type == N_NOTHING ? ABSENT : eval(m, n);
    return m->failed ? UNDEFINED : slice(m, v, part[0], part[1], part[2]);
}

static value eval_link(vm *m, value v, const node *link) {
    if (link->type == N_ATTRIBUTE) return get_attribute(m, v, link->name);
    if (link->type == N_ITEM) return eval_item(m, v, link->first);
    arguments a = eval_arguments(m, link->first);
    if (m->failed) return UNDEFINED;
    const value *args = a.args.u.list->items;
    size_t n = a.args.u.list->n;
    uint32_t line = m->line;
    m->line = link->line;
    if (link->type == N_CALL) {
        v = call_value(m, v, args, n, a.named);
    } else {
        const builtin *row = link->type == N_FILTER ? find_filter(link->name) : find_test(link->name);
        if (!row)
            return throw(m, "there is no %s named '%.*s'", link->type == N_FILTER ? "filter" : "test",
                         STR_ARG(link->name));
        v = spend(m, 0) ? call_builtin(m, row, v, args, n, a.named) : UNDEFINED;
        if (link->type == N_TEST) v = bool_value(truth(v) != link->op);
    }
    if (!m->failed) m->line = line;
    return v;
}

static value eval_chain(vm *m, const node *n) {
    value v = eval(m, n->first);
    for (const node *link = n->first->next; link && !m->failed; link = link->next) v = eval_link(m, v, link);
    return v;
}

static value eval_condition(vm *m, const node *n) {
    const node *yes = n->first->next, *no = yes->next;
    if (truth(eval(m, n->first))) return eval(m, yes);
    return no ? eval(m, no)
              : undefined_name(m, STR("an inline if without an else was false, and its value is used"), T_UNDEFINED);
}

static value eval_kind(vm *m, const node *n) {
    switch (n->type) {
    case N_CONST: return n->value;
    case N_NAME: return get_variable(m, n->name);
    case N_LIST: return eval_items(m, n, T_LIST);
    case N_TUPLE: return eval_items(m, n, T_TUPLE);
    case N_DICT: return eval_dict(m, n);
    case N_COND: return eval_condition(m, n);
    case N_OR: return eval_junction(m, n, true);
    case N_AND: return eval_junction(m, n, false);
    case N_NOT: return bool_value(!truth(eval(m, n->first)));
    case N_NEG: return negate(m, eval(m, n->first));
    case N_POS: {
        value v = eval(m, n->first);
        return is_number(v) ? (v.type == T_BOOL ? int_value(v.u.b) : v) : throw(m, "+%s is not possible", type_name(v));
    }
    case N_COMPARE: return eval_compare(m, n);
    case N_MATH: return eval_math(m, n);
    case N_CONCAT: return eval_concat(m, n);
    case N_CHAIN: return eval_chain(m, n);
    default: return UNDEFINED;
    }
}

static value eval(vm *m, const node *n) {
    if (m->failed) return UNDEFINED;
    if (m->depth >= MAX_EVAL_DEPTH) return throw(m, "it is nested deeper than can be run");
    m->depth++;
    value v = eval_kind(m, n);
    m->depth--;
    return v;
}

/* ---- loops ------------------------------------------------------------------------------------ */

/* The next item that the loop's filter lets through. It is asked for one by one, as jinja2 does: what the body sets
 * may decide about later items. */
static bool fetch_filtered(vm *m, loop *l, value *item) {
    const node *condition = l->node->first->next->next;
    while (!m->failed && l->at < l->seq.u.list->n) {
        *item = l->seq.u.list->items[l->at++];
        if (condition->type == N_NOTHING) return true;
        if (!spend(m, 0)) return false;
        scope *outer = m->scope;
        m->scope = new_scope(m, l->scope);
        assign(m, l->node->first, *item);
        bool passes = truth(eval(m, condition));
        m->scope = outer;
        if (passes && !m->failed) return true;
    }
    return false;
}

bool loop_fetch(vm *m, loop *l, value *item) {
    if (l->rest_at < l->n_rest) return *item = l->rest[l->rest_at++], true;
    return fetch_filtered(m, l, item);
}

static bool loop_peek(vm *m, loop *l) {
    if (!l->has_next) l->has_next = loop_fetch(m, l, &l->next);
    return l->has_next;
}

static size_t loop_length(vm *m, loop *l) {
    if (l->length != SIZE_MAX) return l->length;
    value rest = new_list(m, T_LIST, 0), item;
    while (loop_fetch(m, l, &item)) list_add(m, rest, item);
    if (m->failed) return 0;
    l->rest = rest.u.list->items;
    l->n_rest = rest.u.list->n;
    l->rest_at = 0;
    return l->length = l->index + 1 + l->has_next + l->n_rest;
}

static value cycle(vm *m, value self, call_args *a) {
    if (a->n_all == 0) return throw(m, "loop.cycle needs values");
    return a->all[self.u.loop->index % a->n_all];
}

static value changed(vm *m, value self, call_args *a) {
    loop *l = self.u.loop;
    value now = new_list(m, T_TUPLE, a->n_all);
    for (size_t i = 0; i < a->n_all; i++) list_add(m, now, a->all[i]);
    bool same = given(l->changed) && equal(m, l->changed, now);
    l->changed = now;
    return bool_value(!same);
}

value loop_attribute(vm *m, loop *l, str name, bool *found) {
    static const builtin methods[] = {{"cycle", "*", cycle}, {"changed", "*", changed}};
    int64_t index = (int64_t)l->index;
    *found = true;
    if (str_is(name, "index0")) return int_value(index);
    if (str_is(name, "index")) return int_value(index + 1);
    if (str_is(name, "first")) return bool_value(index == 0);
    if (str_is(name, "last")) return bool_value(!loop_peek(m, l));
    if (str_is(name, "length")) return int_value((int64_t)loop_length(m, l));
    if (str_is(name, "revindex")) return int_value((int64_t)loop_length(m, l) - index);
    if (str_is(name, "revindex0")) return int_value((int64_t)loop_length(m, l) - index - 1);
    if (str_is(name, "depth")) return int_value(1);
    if (str_is(name, "depth0")) return int_value(0);
    if (str_is(name, "previtem"))
        return index ? l->previous : undefined_name(m, STR("there is no previous item"), T_UNDEFINED);
    if (str_is(name, "nextitem"))
        return loop_peek(m, l) ? l->next : undefined_name(m, STR("there is no next item"), T_UNDEFINED);
    for (size_t i = 0; i < 2; i++) {
        if (!str_is(name, methods[i].name)) continue;
        method_value *v = vm_alloc(m, 1, sizeof *v);
        if (v) *v = (method_value){&methods[i], {.type = T_LOOP, .u.loop = l}};
        return v ? (value){.type = T_METHOD, .u.method = v} : UNDEFINED;
    }
    *found = false;
    return UNDEFINED;
}

static void run_for(vm *m, const node *n) {
    value sequence = eval(m, n->first->next);
    if (sequence.type == T_UNDEFINED && !m->failed) sequence = new_list(m, T_LIST, 0);
    loop *l = vm_alloc(m, 1, sizeof *l);
    scope *outer = m->scope, *inner = new_scope(m, outer);
    value items = to_list(m, sequence), item;
    if (m->failed) return;
    *l = (loop){.seq = items, .node = n, .scope = outer, .length = SIZE_MAX, .changed = ABSENT};
    bool none = true;
    m->scope = inner;
    for (; !m->failed && spend(m, 0); l->index++) {
        bool more = l->has_next;
        if (more)
            item = l->next;
        else
            more = loop_fetch(m, l, &item);
        l->has_next = false;
        if (!more) break;
        l->previous = l->current;
        l->current = item;
        inner->n = 0; /* what the body set is gone with each turn */
        set_variable(m, inner, special_name(m, NAME_LOOP), (value){.type = T_LOOP, .u.loop = l});
        assign(m, n->first, item);
        run(m, n->body);
        int jump = m->jump;
        m->jump = 0;
        if (!jump) none = false; /* as in jinja2, a turn that `break` or `continue` ends does not count */
        if (jump == JUMP_BREAK) break;
    }
    m->scope = outer;
    if (none && n->orelse && !m->failed) {
        m->scope = new_scope(m, outer);
        run(m, n->orelse);
        m->scope = outer;
    }
}

/* ---- statements ------------------------------------------------------------------------------- */

static value apply_filters(vm *m, const node *filters, value v) {
    for (const node *f = filters; f && !m->failed; f = f->next) v = eval_link(m, v, f);
    return v;
}

static value new_macro(vm *m, const node *n) {
    macro *mac = vm_alloc(m, 1, sizeof *mac);
    if (mac) *mac = (macro){n, m->scope};
    return mac ? (value){.type = T_MACRO, .u.macro = mac} : UNDEFINED;
}

/* The call's arguments get `caller`, which is the block's body. */
static void run_call_block(vm *m, const node *n) {
    value v = eval(m, n->first->first);
    const node *link = n->first->first->next;
    for (; link->next && !m->failed; link = link->next) v = eval_link(m, v, link);
    arguments a = eval_arguments(m, link->first);
    add_named(m, &a, own_string(m, STR("caller")), new_macro(m, n));
    if (m->failed) return;
    v = call_value(m, v, a.args.u.list->items, a.args.u.list->n, a.named);
    text_add_value(m->out, v);
}

static void run_in_scope(vm *m, const node *body) {
    scope *outer = m->scope;
    m->scope = new_scope(m, outer);
    run(m, body);
    m->scope = outer;
}

static value capture_in_scope(vm *m, const node *body) {
    scope *outer = m->scope;
    m->scope = new_scope(m, outer);
    value v = capture(m, body);
    m->scope = outer;
    return v;
}

static void run_filter_block(vm *m, const node *n) {
    value v = apply_filters(m, n->filters, capture_in_scope(m, n->body));
    if (!m->failed && !is_string(v)) throw(m, "what a filter block gives is text, not a %s", type_name(v));
    text_add_value(m->out, v);
}

static void run_with(vm *m, const node *n) {
    scope *outer = m->scope, *inner = new_scope(m, outer);
    for (const node *target = n->first; target && !m->failed; target = target->next->next) {
        value v = eval(m, target->next);
        m->scope = inner;
        assign(m, target, v);
        m->scope = outer;
    }
    m->scope = inner;
    run(m, n->body);
    m->scope = outer;
}

static void run_if(vm *m, const node *n) {
    while (n && n->type == N_IF) {
        m->line = n->line;
        if (truth(eval(m, n->first))) {
            run(m, n->body);
            return;
        }
        const node *other = n->orelse;
        if (!other || other->type != N_IF || !other->op) { /* `op` marks an elif */
            run(m, other);
            return;
        }
        n = other;
    }
}

static void run_one(vm *m, const node *n) {
    switch (n->type) {
    case N_TEXT: text_add(m->out, n->name.p, n->name.n, true); break;
    case N_OUTPUT:
        for (const node *e = n->first; e && !m->failed; e = e->next) {
            value v = eval(m, e);
            if (!m->failed) text_add_value(m->out, v);
        }
        break;
    case N_SET: assign(m, n->first, eval(m, n->first->next)); break;
    case N_SET_BLOCK: assign(m, n->first, apply_filters(m, n->filters, capture_in_scope(m, n->body))); break;
    case N_IF: run_if(m, n); break;
    case N_FOR: run_for(m, n); break;
    case N_BREAK: m->jump = JUMP_BREAK; break;
    case N_CONTINUE: m->jump = JUMP_CONTINUE; break;
    case N_MACRO: set_variable(m, m->scope, n->name, new_macro(m, n)); break;
    case N_CALL_BLOCK: run_call_block(m, n); break;
    case N_FILTER_BLOCK: run_filter_block(m, n); break;
    case N_WITH: run_with(m, n); break;
    case N_SCOPE: run_in_scope(m, n->body); break;
    default: break;
    }
}

static void run(vm *m, const node *n) {
    if (m->depth >= MAX_EVAL_DEPTH) {
        throw(m, "it is nested deeper than can be run");
        return;
    }
    m->depth++;
    for (; n && !m->failed && !m->jump && spend(m, 0); n = n->next) {
        m->line = n->line;
        run_one(m, n);
    }
    m->depth--;
}

/* ---- the whole -------------------------------------------------------------------------------- */

/* Roles that conversations have: a template may build a control token from one ('<|' + role + '|>'), so these words
 * count as its own. */
static const char *const roles[] = {"system",  "user",        "assistant", "tool",          "developer",   "function",
                                    "ipython", "environment", "model",     "tool_response", "observation", "documents"};

static void own_roles(vm *m, value messages) {
    size_t n = messages.type == T_LIST ? messages.u.list->n : 0;
    for (size_t i = 0; i < n && !m->failed; i++) {
        value message = messages.u.list->items[i];
        const value *role = message.type == T_DICT ? dict_find_str(m, message.u.dict, STR("role")) : NULL;
        for (size_t j = 0; role && is_string(*role) && j < sizeof roles / sizeof *roles; j++) {
            if (str_is(view(*role), roles[j])) role->u.s->all_own = true;
        }
    }
}

/* The value of a variable that the template reads, out of what it is given: the last that has it. */
static const value *find_given(vm *m, const value *inputs, str name) {
    const template_input *in = m->input;
    for (size_t i = in->n_json; i-- > 0;) {
        if (in->json[i].name.p && str_eq(in->json[i].name, name)) return &inputs[i];
        const value *found = in->json[i].name.p ? NULL : dict_find_str(m, inputs[i].u.dict, name);
        if (found) return found;
    }
    return NULL;
}

static bool read_inputs(vm *m, value *inputs) {
    const template_input *in = m->input;
    for (size_t i = 0; i < in->n_json && !m->failed; i++) {
        inputs[i] = parse_json(m, in->json[i].text, in->json[i].what);
        if (m->failed || in->json[i].name.p || inputs[i].type == T_DICT) continue;
        m->failed = true;
        fail(m->err, GGUF_ERR_USAGE, "%s must be a JSON object, {\"name\": value, ...}", in->json[i].what);
    }
    return !m->failed;
}

static void set_globals(vm *m) {
    const template_input *in = m->input;
    value inputs[TEMPLATE_MAX_INPUTS];
    if (!read_inputs(m, inputs)) return;
    for (size_t i = 0; i < m->t->names.n && !m->failed; i++) {
        str name = m->t->names.names[i];
        str special = str_is(name, "bos_token") ? in->bos : str_is(name, "eos_token") ? in->eos : (str){0};
        const value *found = find_given(m, inputs, name);
        bool same = found && special.p && is_string(*found) && str_eq(view(*found), special);
        if (found && str_is(name, "messages")) own_roles(m, *found);
        if (special.p && (same || !found))
            set_variable(m, m->scope, name, own_string(m, special));
        else if (found)
            set_variable(m, m->scope, name, *found);
    }
}

static bool hand_over(vm *m, const text *t, template_text *out) {
    *out = (template_text){.n = t->n, .text = malloc(t->n + 1), .own = malloc(t->n + 1)};
    if (!out->text || !out->own) {
        free(out->text);
        free(out->own);
        return fail_memory(m->err, "the conversation's text", 2 * t->n);
    }
    if (t->n) memcpy(out->text, t->p, t->n);
    for (size_t i = 0; i < t->n; i++) out->own[i] = t->own[i] != 0;
    out->text[t->n] = 0;
    return true;
}

bool template_render(const template *t, const template_input *in, template_text *out, gguf_error *err) {
    vm m = {.mem = {.limit = TEMPLATE_MAX_MEMORY}, .err = err, .t = t, .input = in, .line = 1};
    text printed = {.m = &m};
    m.out = &printed;
    m.scope = new_scope(&m, NULL);
    if (m.scope) set_globals(&m);
    m.steps = 0; /* what is given is bounded by itself */
    if (!m.failed) run(&m, t->body);
    bool ok = !m.failed && hand_over(&m, &printed, out);
    heap_free(&m.mem);
    return ok;
}
