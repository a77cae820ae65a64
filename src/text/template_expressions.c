/* Tokens to a tree: expressions, in jinja2's grammar. Every nesting passes through enter_nesting(), so recursion has a
 * bound. */
#include <stdlib.h>

#include "text/template_parser.h"

/* ---- tokens ----------------------------------------------------------------------------------- */

void next_token(parser *p) {
    if (parse_failed(p)) return;
    if (p->has_ahead)
        p->now = p->ahead;
    else if (!lex(&p->lexer, &p->now))
        p->now = (token){.type = TOKEN_END, .line = p->lexer.line};
    p->has_ahead = false;
}

static const token *peek_token(parser *p) {
    if (!p->has_ahead && !parse_failed(p)) {
        p->has_ahead = lex(&p->lexer, &p->ahead);
        if (!p->has_ahead) p->ahead = (token){.type = TOKEN_END};
    }
    return &p->ahead;
}

node *refuse_token(parser *p, const char *what) {
    static const char *const names[] = {"the template's end", "text", "{%", "%}", "{{", "}}"};
    p->m->line = p->now.line;
    if (p->now.type <= TOKEN_PRINT_END)
        throw(p->m, "%s, but there is %s", what, names[p->now.type]);
    else if (p->now.type == TOKEN_INT || p->now.type == TOKEN_FLOAT)
        throw(p->m, "%s, but there is a number", what);
    else
        throw(p->m, "%s, but there is '%.*s'", what, STR_ARG(p->now.s));
    return NULL;
}

bool accept_operator(parser *p, const char *what) {
    if (parse_failed(p) || !is_operator(&p->now, what)) return false;
    next_token(p);
    return true;
}

bool accept_word(parser *p, const char *what) {
    if (parse_failed(p) || !is_word(&p->now, what)) return false;
    next_token(p);
    return true;
}

void expect_operator(parser *p, const char *what) {
    char message[32] = "expected '";
    if (accept_operator(p, what) || parse_failed(p)) return;
    strcat(strcat(message, what), "'");
    refuse_token(p, message);
}

void expect_type(parser *p, token_type type, const char *what) {
    if (p->now.type == type)
        next_token(p);
    else
        refuse_token(p, what);
}

bool enter_nesting(parser *p) {
    if (parse_failed(p)) return false;
    if (p->depth++ < TEMPLATE_MAX_DEPTH) return true;
    p->m->line = p->now.line;
    throw(p->m, "blocks or brackets are nested deeper than %d", TEMPLATE_MAX_DEPTH);
    return false;
}

/* ---- nodes ------------------------------------------------------------------------------------ */

node *new_node(parser *p, node_type type, node *first) {
    node *n = heap_alloc(&p->t->mem, sizeof *n);
    if (!n) {
        vm_alloc(p->m, SIZE_MAX, 1);
        return NULL;
    }
    n->type = (uint8_t)type;
    n->line = p->now.line;
    n->first = first;
    return n;
}

void append_node(node ***tail, node *n) {
    if (!n) return;
    **tail = n;
    while (**tail) *tail = &(**tail)->next;
}

str intern_name(parser *p, str name) {
    name_list *l = &p->t->names;
    for (size_t i = 0; i < l->n; i++) {
        if (str_eq(l->names[i], name)) return l->names[i];
    }
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 32;
        str *names = heap_grow(&p->t->mem, l->names, l->n * sizeof *names, room * sizeof *names);
        if (!names) return vm_alloc(p->m, SIZE_MAX, 1), name;
        l->names = names;
        l->room = room;
    }
    return l->names[l->n++] = name; /* names stand in the source */
}

str expect_name(parser *p) {
    str name = p->now.s;
    if (p->now.type != TOKEN_NAME) refuse_token(p, "expected a name");
    name = parse_failed(p) ? STR("") : intern_name(p, name);
    next_token(p);
    return name;
}

static node *name_node(parser *p, str name) {
    node *n = new_node(p, N_NAME, NULL);
    if (n) n->name = name;
    if (str_is(name, "varargs")) p->reads |= READS_VARARGS;
    if (str_is(name, "kwargs")) p->reads |= READS_KWARGS;
    if (str_is(name, "caller")) p->reads |= READS_CALLER;
    return n;
}

static node *const_node(parser *p, value v) {
    node *n = new_node(p, N_CONST, NULL);
    if (n) n->value = v;
    return n;
}

/* ---- expressions ------------------------------------------------------------------------------ */

static node *string_node(parser *p) {
    text t = {.m = p->m};
    str first = p->now.s;
    next_token(p);
    if (p->now.type != TOKEN_STRING) {
        t.p = (char *)(uintptr_t)first.p; /* one string alone stays where it is */
        t.n = first.n;
    } else {
        text_add(&t, first.p, first.n, true);
        for (; p->now.type == TOKEN_STRING && !parse_failed(p); next_token(p))
            text_add(&t, p->now.s.p, p->now.s.n, true);
    }
    return const_node(p, own_string(p->m, (str){t.p ? t.p : "", t.n}));
}

static node *bracket(parser *p, node_type type, const char *close) {
    node *n = new_node(p, type, NULL), **tail = n ? &n->first : NULL;
    next_token(p);
    for (bool more = false; !parse_failed(p) && !is_operator(&p->now, close); more = true) {
        if (more) expect_operator(p, ",");
        if (is_operator(&p->now, close)) break;
        append_node(&tail, parse_expression(p));
        if (type != N_DICT) continue;
        expect_operator(p, ":");
        append_node(&tail, parse_expression(p));
    }
    expect_operator(p, close);
    return n;
}

static node *primary(parser *p) {
    token t = p->now;
    switch (t.type) {
    case TOKEN_NAME:
        next_token(p);
        if (str_is(t.s, "true") || str_is(t.s, "True")) return const_node(p, bool_value(true));
        if (str_is(t.s, "false") || str_is(t.s, "False")) return const_node(p, bool_value(false));
        if (str_is(t.s, "none") || str_is(t.s, "None")) return const_node(p, NONE);
        return name_node(p, intern_name(p, t.s));
    case TOKEN_STRING: return string_node(p);
    case TOKEN_INT: next_token(p); return const_node(p, int_value(t.i));
    case TOKEN_FLOAT: next_token(p); return const_node(p, float_value(t.f));
    default: break;
    }
    if (is_operator(&t, "[")) return bracket(p, N_LIST, "]");
    if (is_operator(&t, "{")) return bracket(p, N_DICT, "}");
    if (!is_operator(&t, "(")) return refuse_token(p, "expected an expression");
    next_token(p);
    node *n = parse_tuple(p, true, NULL, true);
    expect_operator(p, ")");
    return n;
}

static node *slice_part(parser *p) {
    bool empty = is_operator(&p->now, ":") || is_operator(&p->now, "]") || is_operator(&p->now, ",");
    return empty ? new_node(p, N_NOTHING, NULL) : parse_expression(p);
}

static node *subscribed(parser *p) {
    node *start = slice_part(p);
    if (!accept_operator(p, ":"))
        return start && start->type == N_NOTHING ? refuse_token(p, "expected an index") : start;
    node *n = new_node(p, N_SLICE, NULL), **tail = n ? &n->first : NULL;
    if (!n) return NULL;
    append_node(&tail, start);
    append_node(&tail, slice_part(p));
    append_node(&tail, accept_operator(p, ":") ? slice_part(p) : new_node(p, N_NOTHING, NULL));
    return n;
}

static node *subscript(parser *p) {
    node *n = new_node(p, N_ITEM, NULL);
    if (!n) return NULL;
    if (accept_operator(p, ".")) {
        if (p->now.type == TOKEN_INT) {
            n->first = const_node(p, int_value(p->now.i));
            next_token(p);
            return n;
        }
        n->type = N_ATTRIBUTE;
        n->name = expect_name(p);
        return n;
    }
    next_token(p);
    node *items = NULL, **tail = &items;
    bool several = false;
    for (; !parse_failed(p) && !is_operator(&p->now, "]"); several = items->next != NULL) {
        if (items) expect_operator(p, ",");
        append_node(&tail, subscribed(p));
        if (!items) break;
    }
    if (!items && !parse_failed(p)) refuse_token(p, "expected an index");
    expect_operator(p, "]");
    n->first = several ? new_node(p, N_TUPLE, items) : items;
    return n;
}

/* Arguments in brackets, as siblings. */
static node *parse_arguments(parser *p) {
    node *args = NULL, **tail = &args;
    int stage = 0; /* 1: after a keyword, 2: after *, 3: after ** */
    if (!enter_nesting(p)) return NULL;
    expect_operator(p, "(");
    for (bool more = false; !parse_failed(p) && !is_operator(&p->now, ")"); more = true) {
        if (more) expect_operator(p, ",");
        if (is_operator(&p->now, ")")) break;
        node *n = NULL;
        int now = 0;
        if (accept_operator(p, "*")) {
            n = new_node(p, N_STAR, parse_expression(p));
            now = 2;
        } else if (accept_operator(p, "**")) {
            n = new_node(p, N_STARSTAR, parse_expression(p));
            now = 3;
        } else if (p->now.type == TOKEN_NAME && is_operator(peek_token(p), "=")) {
            str name = expect_name(p);
            next_token(p);
            n = new_node(p, N_KEYWORD, parse_expression(p));
            if (n) n->name = name;
            now = 1;
        } else {
            n = parse_expression(p);
        }
        if (now == 1 ? stage == 3 : now == 2 ? stage >= 2 : now == 3 ? stage == 3 : stage > 0) {
            refuse_token(p, "arguments stand in the wrong order");
        }
        stage = now > stage ? now : stage;
        append_node(&tail, n);
    }
    expect_operator(p, ")");
    p->depth--;
    return args;
}

static str dotted_name(parser *p) {
    str name = expect_name(p);
    if (is_operator(&p->now, ".")) refuse_token(p, "names of filters and tests have no points");
    return name;
}

node *parse_filter(parser *p) {
    node *n = new_node(p, N_FILTER, NULL);
    str name = dotted_name(p);
    node *args = is_operator(&p->now, "(") ? parse_arguments(p) : NULL;
    if (!n) return NULL;
    n->name = name;
    n->first = args;
    if (!p->soft && !p->unknown && !find_filter(name)) p->unknown = n;
    return n;
}

static node *make_chain(parser *p, node *base, node *links) {
    node *n = new_node(p, N_CHAIN, base);
    if (n && base) base->next = links;
    return n;
}

/* Attributes, items and calls behind a value. */
static node *parse_links(parser *p, bool with_filters);

static bool begins_argument(const parser *p) {
    const token *t = &p->now;
    if (t->type == TOKEN_NAME) return !is_word(t, "else") && !is_word(t, "or") && !is_word(t, "and");
    return t->type == TOKEN_STRING || t->type == TOKEN_INT || t->type == TOKEN_FLOAT || is_operator(t, "[") ||
           is_operator(t, "{");
}

static node *test(parser *p) {
    node *n = new_node(p, N_TEST, NULL);
    if (!n || !enter_nesting(p)) return NULL;
    n->op = accept_word(p, "not");
    n->name = dotted_name(p);
    if (is_operator(&p->now, "(")) {
        n->first = parse_arguments(p);
    } else if (begins_argument(p)) {
        if (is_word(&p->now, "is")) refuse_token(p, "tests cannot follow each other");
        node *argument = primary(p), *links = parse_links(p, false);
        n->first = links ? make_chain(p, argument, links) : argument;
    }
    if (!p->soft && !p->unknown && !find_test(n->name)) p->unknown = n;
    p->depth--;
    return n;
}

static node *parse_call(parser *p) {
    node *call = new_node(p, N_CALL, NULL), *args = parse_arguments(p);
    if (call) call->first = args;
    return call;
}

static node *parse_links(parser *p, bool with_filters) {
    node *links = NULL, **tail = &links;
    while (!parse_failed(p)) {
        if (is_operator(&p->now, ".") || is_operator(&p->now, "["))
            append_node(&tail, subscript(p));
        else if (is_operator(&p->now, "("))
            append_node(&tail, parse_call(p));
        else
            break;
    }
    while (with_filters && !parse_failed(p)) { /* behind the first filter, calls are allowed but no attributes */
        if (accept_operator(p, "|"))
            append_node(&tail, parse_filter(p));
        else if (accept_word(p, "is"))
            append_node(&tail, test(p));
        else if (is_operator(&p->now, "("))
            append_node(&tail, parse_call(p));
        else
            break;
    }
    return links;
}

static node *unary(parser *p, bool with_filters) {
    if (!enter_nesting(p)) return NULL;
    node *n;
    bool minus = is_operator(&p->now, "-"), plus = is_operator(&p->now, "+");
    if (minus || plus) {
        next_token(p);
        n = new_node(p, minus ? N_NEG : N_POS, unary(p, false));
    } else {
        n = primary(p);
    }
    node *links = parse_failed(p) ? NULL : parse_links(p, with_filters);
    p->depth--;
    return links ? make_chain(p, n, links) : n;
}

/* Levels of binary operators, those that bind most first. */
static const struct {
    struct {
        const char *text;
        binary_op op;
    } ops[4];
} math_levels[] = {
    {{{"**", OP_POW}}},
    {{{"*", OP_MUL}, {"/", OP_DIV}, {"//", OP_FLOORDIV}, {"%", OP_MOD}}},
    {{{NULL, 0}}}, /* ~ stands between */
    {{{"+", OP_ADD}, {"-", OP_SUB}}},
};

static node *math(parser *p, int level) {
    if (level < 0) return unary(p, true);
    node *first = math(p, level - 1), *n = NULL, **tail = first ? &first->next : NULL;
    bool concat = level == 2;
    while (!parse_failed(p) && p->now.type == TOKEN_OPERATOR) {
        int found = -1;
        for (int i = 0; i < 4 && math_levels[level].ops[i].text; i++) {
            if (is_operator(&p->now, math_levels[level].ops[i].text)) found = i;
        }
        if (found < 0 && !(concat && is_operator(&p->now, "~"))) break;
        if (!n) n = new_node(p, concat ? N_CONCAT : N_MATH, first);
        next_token(p);
        node *right = math(p, level - 1);
        /* a node of its own, because the operand's `op` may be taken */
        node *operand = new_node(p, N_TUPLE, right);
        if (!operand) return NULL;
        operand->op = found < 0 ? 0 : (uint8_t)math_levels[level].ops[found].op;
        append_node(&tail, operand);
    }
    return n ? n : first;
}

static const struct {
    const char *text;
    compare_op op;
} compare_ops[] = {{"==", CMP_EQ}, {"!=", CMP_NE}, {"<", CMP_LT}, {"<=", CMP_LE}, {">", CMP_GT}, {">=", CMP_GE}};

static int accept_compare(parser *p) {
    for (size_t i = 0; i < sizeof compare_ops / sizeof *compare_ops; i++) {
        if (accept_operator(p, compare_ops[i].text)) return (int)compare_ops[i].op;
    }
    if (accept_word(p, "in")) return CMP_IN;
    if (!parse_failed(p) && is_word(&p->now, "not") && is_word(peek_token(p), "in")) {
        next_token(p);
        next_token(p);
        return CMP_NOT_IN;
    }
    return -1;
}

static node *comparison(parser *p) {
    node *first = math(p, 3), *n = NULL, **tail = first ? &first->next : NULL;
    for (int op; !parse_failed(p) && (op = accept_compare(p)) >= 0;) {
        if (!n) n = new_node(p, N_COMPARE, first);
        node *operand = new_node(p, N_TUPLE, math(p, 3));
        if (!operand) return NULL;
        operand->op = (uint8_t)op;
        append_node(&tail, operand);
    }
    return n ? n : first;
}

static node *negation(parser *p) {
    if (!enter_nesting(p)) return NULL;
    node *n = accept_word(p, "not") ? new_node(p, N_NOT, negation(p)) : comparison(p);
    p->depth--;
    return n;
}

static node *junction(parser *p, bool is_or) {
    node *first = is_or ? junction(p, false) : negation(p), *n = NULL, **tail = first ? &first->next : NULL;
    while (accept_word(p, is_or ? "or" : "and")) {
        if (!n) n = new_node(p, is_or ? N_OR : N_AND, first);
        append_node(&tail, is_or ? junction(p, false) : negation(p));
    }
    return n ? n : first;
}

node *parse_expression(parser *p) {
    if (!enter_nesting(p)) return NULL;
    const node *unknown = p->unknown;
    int depth = p->depth;
    node *n = junction(p, true);
    while (accept_word(p, "if")) {
        node *condition = junction(p, true), *cond = new_node(p, N_COND, condition);
        node *other = accept_word(p, "else") ? parse_expression(p) : NULL;
        if (!cond || !condition || parse_failed(p)) break;
        condition->next = n;
        n->next = other;
        n = cond;
        p->unknown = unknown;
        if (!enter_nesting(p)) return NULL; /* the tree grows by a level each time */
    }
    p->depth = depth - 1;
    return n;
}

bool is_tuple_end(const parser *p, const char *end_word) {
    return p->now.type == TOKEN_PRINT_END || p->now.type == TOKEN_BLOCK_END || is_operator(&p->now, ")") ||
           (end_word && is_word(&p->now, end_word));
}

/* Expressions parted by commas make a tuple; one alone is itself. */
node *parse_tuple(parser *p, bool with_cond, const char *end_word, bool parentheses) {
    node *items = NULL, **tail = &items;
    bool is_tuple = false;
    if (!enter_nesting(p)) return NULL;
    while (!parse_failed(p)) {
        if (items) expect_operator(p, ",");
        if (is_tuple_end(p, end_word)) break;
        append_node(&tail, with_cond ? parse_expression(p) : junction(p, true));
        if (!is_operator(&p->now, ",")) break;
        is_tuple = true;
    }
    p->depth--;
    if (!is_tuple && items) return items;
    if (!is_tuple && !parentheses) return refuse_token(p, "expected an expression");
    return new_node(p, N_TUPLE, items);
}
