/* Tokens to a tree, in jinja2's grammar. Every nesting passes through enter(), so recursion has a bound. */
#include <stdlib.h>

#include "text/template_internal.h"

typedef struct {
    vm *m;
    template *t;
    lexer lexer;
    token now, ahead; /* ahead: TOKEN_END and line 0 while not read */
    bool has_ahead;
    int depth, loops, in_for; /* loops: around a `break`; in_for: around a variable `loop` */
    uint8_t reads;            /* of the macro that is open: READS_* */
    /* jinja2 refuses filters and tests that it does not know, unless a condition may keep them from being reached:
     * right in an `if`, or in an inline one. */
    bool soft;
    const node *unknown; /* the first that is to be refused */
} parser;

static node *expression(parser *p);
static node *tuple(parser *p, bool with_cond, const char *end_word, bool parentheses);
static node *statements(parser *p, const char *const *ends);

/* ---- tokens ----------------------------------------------------------------------------------- */

static bool failed(const parser *p) { return p->m->failed; }

static void advance(parser *p) {
    if (failed(p)) return;
    if (p->has_ahead)
        p->now = p->ahead;
    else if (!lex(&p->lexer, &p->now))
        p->now = (token){.type = TOKEN_END, .line = p->lexer.line};
    p->has_ahead = false;
}

static const token *look(parser *p) {
    if (!p->has_ahead && !failed(p)) {
        p->has_ahead = lex(&p->lexer, &p->ahead);
        if (!p->has_ahead) p->ahead = (token){.type = TOKEN_END};
    }
    return &p->ahead;
}

static node *refuse(parser *p, const char *what) {
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

static bool is_operator(const token *t, const char *what) { return t->type == TOKEN_OPERATOR && str_is(t->s, what); }
static bool is_word(const token *t, const char *what) { return t->type == TOKEN_NAME && str_is(t->s, what); }

static bool accept_operator(parser *p, const char *what) {
    if (failed(p) || !is_operator(&p->now, what)) return false;
    advance(p);
    return true;
}

static bool accept_word(parser *p, const char *what) {
    if (failed(p) || !is_word(&p->now, what)) return false;
    advance(p);
    return true;
}

static void expect_operator(parser *p, const char *what) {
    char message[32] = "expected '";
    if (accept_operator(p, what) || failed(p)) return;
    strcat(strcat(message, what), "'");
    refuse(p, message);
}

static void expect_type(parser *p, token_type type, const char *what) {
    if (p->now.type == type)
        advance(p);
    else
        refuse(p, what);
}

static bool enter(parser *p) {
    if (failed(p)) return false;
    if (p->depth++ < TEMPLATE_MAX_DEPTH) return true;
    p->m->line = p->now.line;
    throw(p->m, "blocks or brackets are nested deeper than %d", TEMPLATE_MAX_DEPTH);
    return false;
}

/* ---- nodes ------------------------------------------------------------------------------------ */

static node *new_node(parser *p, node_type type, node *first) {
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

/* Appends to a list of siblings whose end is *tail. */
static void append(node ***tail, node *n) {
    if (!n) return;
    **tail = n;
    while (**tail) *tail = &(**tail)->next;
}

static str intern(parser *p, str name) {
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

static str expect_name(parser *p) {
    str name = p->now.s;
    if (p->now.type != TOKEN_NAME) refuse(p, "expected a name");
    name = failed(p) ? STR("") : intern(p, name);
    advance(p);
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
    advance(p);
    if (p->now.type != TOKEN_STRING) {
        t.p = (char *)(uintptr_t)first.p; /* one string alone stays where it is */
        t.n = first.n;
    } else {
        text_add(&t, first.p, first.n, true);
        for (; p->now.type == TOKEN_STRING && !failed(p); advance(p)) text_add(&t, p->now.s.p, p->now.s.n, true);
    }
    return const_node(p, own_string(p->m, (str){t.p ? t.p : "", t.n}));
}

static node *bracket(parser *p, node_type type, const char *close) {
    node *n = new_node(p, type, NULL), **tail = n ? &n->first : NULL;
    advance(p);
    for (bool more = false; !failed(p) && !is_operator(&p->now, close); more = true) {
        if (more) expect_operator(p, ",");
        if (is_operator(&p->now, close)) break;
        append(&tail, expression(p));
        if (type != N_DICT) continue;
        expect_operator(p, ":");
        append(&tail, expression(p));
    }
    expect_operator(p, close);
    return n;
}

static node *primary(parser *p) {
    token t = p->now;
    switch (t.type) {
    case TOKEN_NAME:
        advance(p);
        if (str_is(t.s, "true") || str_is(t.s, "True")) return const_node(p, bool_value(true));
        if (str_is(t.s, "false") || str_is(t.s, "False")) return const_node(p, bool_value(false));
        if (str_is(t.s, "none") || str_is(t.s, "None")) return const_node(p, NONE);
        return name_node(p, intern(p, t.s));
    case TOKEN_STRING: return string_node(p);
    case TOKEN_INT: advance(p); return const_node(p, int_value(t.i));
    case TOKEN_FLOAT: advance(p); return const_node(p, float_value(t.f));
    default: break;
    }
    if (is_operator(&t, "[")) return bracket(p, N_LIST, "]");
    if (is_operator(&t, "{")) return bracket(p, N_DICT, "}");
    if (!is_operator(&t, "(")) return refuse(p, "expected an expression");
    advance(p);
    node *n = tuple(p, true, NULL, true);
    expect_operator(p, ")");
    return n;
}

static node *slice_part(parser *p) {
    bool empty = is_operator(&p->now, ":") || is_operator(&p->now, "]") || is_operator(&p->now, ",");
    return empty ? new_node(p, N_NOTHING, NULL) : expression(p);
}

static node *subscribed(parser *p) {
    node *start = slice_part(p);
    if (!accept_operator(p, ":")) return start && start->type == N_NOTHING ? refuse(p, "expected an index") : start;
    node *n = new_node(p, N_SLICE, NULL), **tail = n ? &n->first : NULL;
    if (!n) return NULL;
    append(&tail, start);
    append(&tail, slice_part(p));
    append(&tail, accept_operator(p, ":") ? slice_part(p) : new_node(p, N_NOTHING, NULL));
    return n;
}

static node *subscript(parser *p) {
    node *n = new_node(p, N_ITEM, NULL);
    if (!n) return NULL;
    if (accept_operator(p, ".")) {
        if (p->now.type == TOKEN_INT) {
            n->first = const_node(p, int_value(p->now.i));
            advance(p);
            return n;
        }
        n->type = N_ATTRIBUTE;
        n->name = expect_name(p);
        return n;
    }
    advance(p);
    node *items = NULL, **tail = &items;
    bool several = false;
    for (; !failed(p) && !is_operator(&p->now, "]"); several = items->next != NULL) {
        if (items) expect_operator(p, ",");
        append(&tail, subscribed(p));
        if (!items) break;
    }
    if (!items && !failed(p)) refuse(p, "expected an index");
    expect_operator(p, "]");
    n->first = several ? new_node(p, N_TUPLE, items) : items;
    return n;
}

/* Arguments in brackets, as siblings. */
static node *arguments(parser *p) {
    node *args = NULL, **tail = &args;
    int stage = 0; /* 1: after a keyword, 2: after *, 3: after ** */
    if (!enter(p)) return NULL;
    expect_operator(p, "(");
    for (bool more = false; !failed(p) && !is_operator(&p->now, ")"); more = true) {
        if (more) expect_operator(p, ",");
        if (is_operator(&p->now, ")")) break;
        node *n = NULL;
        int now = 0;
        if (accept_operator(p, "*")) {
            n = new_node(p, N_STAR, expression(p));
            now = 2;
        } else if (accept_operator(p, "**")) {
            n = new_node(p, N_STARSTAR, expression(p));
            now = 3;
        } else if (p->now.type == TOKEN_NAME && is_operator(look(p), "=")) {
            str name = expect_name(p);
            advance(p);
            n = new_node(p, N_KEYWORD, expression(p));
            if (n) n->name = name;
            now = 1;
        } else {
            n = expression(p);
        }
        if (now == 1 ? stage == 3 : now == 2 ? stage >= 2 : now == 3 ? stage == 3 : stage > 0) {
            refuse(p, "arguments stand in the wrong order");
        }
        stage = now > stage ? now : stage;
        append(&tail, n);
    }
    expect_operator(p, ")");
    p->depth--;
    return args;
}

static str dotted_name(parser *p) {
    str name = expect_name(p);
    if (is_operator(&p->now, ".")) refuse(p, "names of filters and tests have no points");
    return name;
}

static node *filter(parser *p) {
    node *n = new_node(p, N_FILTER, NULL);
    str name = dotted_name(p);
    node *args = is_operator(&p->now, "(") ? arguments(p) : NULL;
    if (!n) return NULL;
    n->name = name;
    n->first = args;
    if (!p->soft && !p->unknown && !find_filter(name)) p->unknown = n;
    return n;
}

static node *chain(parser *p, node *base, node *links) {
    node *n = new_node(p, N_CHAIN, base);
    if (n && base) base->next = links;
    return n;
}

/* Attributes, items and calls behind a value. */
static node *postfix_links(parser *p, bool with_filters);

static bool begins_argument(const parser *p) {
    const token *t = &p->now;
    if (t->type == TOKEN_NAME) return !is_word(t, "else") && !is_word(t, "or") && !is_word(t, "and");
    return t->type == TOKEN_STRING || t->type == TOKEN_INT || t->type == TOKEN_FLOAT || is_operator(t, "[") ||
           is_operator(t, "{");
}

static node *test(parser *p) {
    node *n = new_node(p, N_TEST, NULL);
    if (!n || !enter(p)) return NULL;
    n->op = accept_word(p, "not");
    n->name = dotted_name(p);
    if (is_operator(&p->now, "(")) {
        n->first = arguments(p);
    } else if (begins_argument(p)) {
        if (is_word(&p->now, "is")) refuse(p, "tests cannot follow each other");
        node *argument = primary(p), *links = postfix_links(p, false);
        n->first = links ? chain(p, argument, links) : argument;
    }
    if (!p->soft && !p->unknown && !find_test(n->name)) p->unknown = n;
    p->depth--;
    return n;
}

static node *postfix_links(parser *p, bool with_filters) {
    node *links = NULL, **tail = &links;
    while (!failed(p)) {
        if (is_operator(&p->now, ".") || is_operator(&p->now, "["))
            append(&tail, subscript(p));
        else if (is_operator(&p->now, "(")) {
            node *call = new_node(p, N_CALL, NULL), *args = arguments(p);
            if (call) call->first = args;
            append(&tail, call);
        } else
            break;
    }
    while (with_filters && !failed(p)) { /* behind the first filter, calls are allowed but no attributes */
        if (accept_operator(p, "|"))
            append(&tail, filter(p));
        else if (accept_word(p, "is"))
            append(&tail, test(p));
        else if (is_operator(&p->now, "(")) {
            node *call = new_node(p, N_CALL, NULL), *args = arguments(p);
            if (call) call->first = args;
            append(&tail, call);
        } else
            break;
    }
    return links;
}

static node *unary(parser *p, bool with_filters) {
    if (!enter(p)) return NULL;
    node *n;
    bool minus = is_operator(&p->now, "-"), plus = is_operator(&p->now, "+");
    if (minus || plus) {
        advance(p);
        n = new_node(p, minus ? N_NEG : N_POS, unary(p, false));
    } else {
        n = primary(p);
    }
    node *links = failed(p) ? NULL : postfix_links(p, with_filters);
    p->depth--;
    return links ? chain(p, n, links) : n;
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
    while (!failed(p) && p->now.type == TOKEN_OPERATOR) {
        int found = -1;
        for (int i = 0; i < 4 && math_levels[level].ops[i].text; i++) {
            if (is_operator(&p->now, math_levels[level].ops[i].text)) found = i;
        }
        if (found < 0 && !(concat && is_operator(&p->now, "~"))) break;
        if (!n) n = new_node(p, concat ? N_CONCAT : N_MATH, first);
        advance(p);
        node *right = math(p, level - 1);
        /* a node of its own, because the operand's `op` may be taken */
        node *operand = new_node(p, N_TUPLE, right);
        if (!operand) return NULL;
        operand->op = found < 0 ? 0 : (uint8_t)math_levels[level].ops[found].op;
        append(&tail, operand);
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
    if (!failed(p) && is_word(&p->now, "not") && is_word(look(p), "in")) {
        advance(p);
        advance(p);
        return CMP_NOT_IN;
    }
    return -1;
}

static node *comparison(parser *p) {
    node *first = math(p, 3), *n = NULL, **tail = first ? &first->next : NULL;
    for (int op; !failed(p) && (op = accept_compare(p)) >= 0;) {
        if (!n) n = new_node(p, N_COMPARE, first);
        node *operand = new_node(p, N_TUPLE, math(p, 3));
        if (!operand) return NULL;
        operand->op = (uint8_t)op;
        append(&tail, operand);
    }
    return n ? n : first;
}

static node *negation(parser *p) {
    if (!enter(p)) return NULL;
    node *n = accept_word(p, "not") ? new_node(p, N_NOT, negation(p)) : comparison(p);
    p->depth--;
    return n;
}

static node *junction(parser *p, bool is_or) {
    node *first = is_or ? junction(p, false) : negation(p), *n = NULL, **tail = first ? &first->next : NULL;
    while (accept_word(p, is_or ? "or" : "and")) {
        if (!n) n = new_node(p, is_or ? N_OR : N_AND, first);
        append(&tail, is_or ? junction(p, false) : negation(p));
    }
    return n ? n : first;
}

static node *expression(parser *p) {
    if (!enter(p)) return NULL;
    const node *unknown = p->unknown;
    int depth = p->depth;
    node *n = junction(p, true);
    while (accept_word(p, "if")) {
        node *condition = junction(p, true), *cond = new_node(p, N_COND, condition);
        node *other = accept_word(p, "else") ? expression(p) : NULL;
        if (!cond || !condition || failed(p)) break;
        condition->next = n;
        n->next = other;
        n = cond;
        p->unknown = unknown;
        if (!enter(p)) return NULL; /* the tree grows by a level each time */
    }
    p->depth = depth - 1;
    return n;
}

static bool tuple_ends(const parser *p, const char *end_word) {
    return p->now.type == TOKEN_PRINT_END || p->now.type == TOKEN_BLOCK_END || is_operator(&p->now, ")") ||
           (end_word && is_word(&p->now, end_word));
}

/* Expressions parted by commas make a tuple; one alone is itself. */
static node *tuple(parser *p, bool with_cond, const char *end_word, bool parentheses) {
    node *items = NULL, **tail = &items;
    bool is_tuple = false;
    if (!enter(p)) return NULL;
    while (!failed(p)) {
        if (items) expect_operator(p, ",");
        if (tuple_ends(p, end_word)) break;
        append(&tail, with_cond ? expression(p) : junction(p, true));
        if (!is_operator(&p->now, ",")) break;
        is_tuple = true;
    }
    p->depth--;
    if (!is_tuple && items) return items;
    if (!is_tuple && !parentheses) return refuse(p, "expected an expression");
    return new_node(p, N_TUPLE, items);
}

/* ---- statements ------------------------------------------------------------------------------- */

/* A name, a tuple of such, or (where namespaces are allowed) name.attribute. */
static node *target_item(parser *p, bool ns) {
    static const char *const reserved[] = {"true", "True", "false", "False", "none", "None"};
    if (is_operator(&p->now, "(") || is_operator(&p->now, "[")) {
        bool round = is_operator(&p->now, "(");
        node *n = new_node(p, N_TUPLE, NULL), **tail = n ? &n->first : NULL;
        if (!n || !enter(p)) return NULL;
        advance(p);
        while (!failed(p) && !is_operator(&p->now, round ? ")" : "]")) {
            if (n->first) expect_operator(p, ",");
            if (is_operator(&p->now, round ? ")" : "]")) break;
            append(&tail, target_item(p, false));
        }
        expect_operator(p, round ? ")" : "]");
        p->depth--;
        return n;
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (is_word(&p->now, reserved[i])) return refuse(p, "expected a variable");
    }
    node *n = new_node(p, N_NAME, NULL);
    if (p->in_for > 0 && is_word(&p->now, "loop")) return refuse(p, "expected another name: `loop` is the loop's own");
    str name = expect_name(p);
    if (!n) return NULL;
    n->name = name;
    if (ns && accept_operator(p, ".")) {
        n->type = N_NSREF;
        n->attribute = expect_name(p);
    }
    return n;
}

static node *target(parser *p, const char *end_word, bool ns) {
    node *items = NULL, **tail = &items;
    bool is_tuple = false;
    while (!failed(p)) {
        if (items) expect_operator(p, ",");
        if (items && (tuple_ends(p, end_word) || is_operator(&p->now, "="))) break;
        append(&tail, target_item(p, ns));
        if (!is_operator(&p->now, ",")) break;
        is_tuple = true;
    }
    return is_tuple ? new_node(p, N_TUPLE, items) : items;
}

static node *block_body(parser *p, const char *const *ends) {
    accept_operator(p, ":");
    expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
    return statements(p, ends);
}

/* The rest of a tag that ends a block: the word is the current token. */
static void close_tag(parser *p) {
    advance(p);
    expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
}

static node *parse_set(parser *p, node *n) {
    static const char *const ends[] = {"endset", NULL};
    node *what = target(p, NULL, true);
    n->first = what;
    if (accept_operator(p, "=")) {
        node *v = tuple(p, true, NULL, false);
        n->type = N_SET;
        if (what) what->next = v;
        expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
        return n;
    }
    n->type = N_SET_BLOCK;
    node **tail = &n->filters;
    while (accept_operator(p, "|")) append(&tail, filter(p));
    n->body = block_body(p, ends);
    close_tag(p);
    return n;
}

static node *parse_for(parser *p, node *n) {
    static const char *const ends[] = {"endfor", "else", NULL}, *const else_ends[] = {"endfor", NULL};
    node **tail = &n->first;
    p->in_for++;
    append(&tail, target(p, "in", false));
    if (!accept_word(p, "in")) return refuse(p, "expected 'in'");
    append(&tail, tuple(p, false, "recursive", false));
    append(&tail, accept_word(p, "if") ? expression(p) : new_node(p, N_NOTHING, NULL));
    if (is_word(&p->now, "recursive"))
        return refuse(p, "recursive loops are not supported: write a macro that calls itself");
    p->loops++;
    n->body = block_body(p, ends);
    p->loops--;
    if (is_word(&p->now, "else")) {
        advance(p);
        n->orelse = block_body(p, else_ends);
    }
    p->in_for--;
    close_tag(p);
    return n;
}

/* elif is an `if` of its own in orelse: parsed in a loop, run in a loop. */
static node *parse_if(parser *p, node *n) {
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const else_ends[] = {"endif", NULL};
    bool soft = p->soft;
    for (node *branch = n;;) {
        p->soft = true;
        branch->first = tuple(p, false, NULL, false);
        branch->body = block_body(p, ends);
        if (failed(p)) return NULL;
        if (is_word(&p->now, "elif")) {
            branch->orelse = new_node(p, N_IF, NULL);
            branch = branch->orelse;
            if (!branch) return NULL;
            branch->op = 1; /* an elif, not an if inside of an else */
            advance(p);
            continue;
        }
        if (is_word(&p->now, "else")) {
            advance(p);
            branch->orelse = block_body(p, else_ends);
        }
        close_tag(p);
        p->soft = soft;
        return n;
    }
}

static node *signature(parser *p) {
    node *params = NULL, **tail = &params;
    bool defaults = false;
    expect_operator(p, "(");
    while (!failed(p) && !is_operator(&p->now, ")")) {
        if (params) expect_operator(p, ",");
        node *n = new_node(p, N_PARAM, NULL);
        str name = expect_name(p);
        if (!n) return NULL;
        n->name = name;
        for (const node *other = params; other; other = other->next) {
            if (str_eq(other->name, name)) return refuse(p, "two parameters have the same name");
        }
        if (accept_operator(p, "=")) {
            n->first = expression(p);
            defaults = true;
        } else if (defaults) {
            return refuse(p, "a parameter without a default follows one with a default");
        }
        append(&tail, n);
    }
    expect_operator(p, ")");
    return params;
}

/* The body of a macro: no loop around it is its own, and what it reads of varargs and so on is noted. */
static void macro_body(parser *p, node *n, const char *const *ends) {
    int loops = p->loops;
    uint8_t reads = p->reads;
    p->loops = 0;
    p->reads = 0;
    n->body = block_body(p, ends);
    n->reads = p->reads;
    p->reads |= reads;
    p->loops = loops;
    close_tag(p);
}

static node *parse_macro(parser *p, node *n) {
    static const char *const ends[] = {"endmacro", NULL};
    n->name = expect_name(p);
    n->params = signature(p);
    macro_body(p, n, ends);
    return n;
}

static node *parse_call(parser *p, node *n) {
    static const char *const ends[] = {"endcall", NULL};
    n->name = STR("caller");
    if (is_operator(&p->now, "(")) n->params = signature(p);
    n->first = expression(p);
    const node *last = n->first && n->first->type == N_CHAIN ? n->first->first : NULL;
    while (last && last->next) last = last->next;
    if (!failed(p) && (!last || last->type != N_CALL)) return refuse(p, "expected a call");
    macro_body(p, n, ends);
    return n;
}

static node *parse_filter_block(parser *p, node *n) {
    static const char *const ends[] = {"endfilter", NULL};
    node **tail = &n->filters;
    do append(&tail, filter(p));
    while (accept_operator(p, "|"));
    n->body = block_body(p, ends);
    close_tag(p);
    return n;
}

static node *parse_with(parser *p, node *n) {
    static const char *const ends[] = {"endwith", NULL};
    node **tail = &n->first;
    while (!failed(p) && p->now.type != TOKEN_BLOCK_END && !is_operator(&p->now, ":")) {
        if (n->first) expect_operator(p, ",");
        append(&tail, target(p, NULL, false));
        expect_operator(p, "=");
        append(&tail, expression(p));
    }
    n->body = block_body(p, ends);
    close_tag(p);
    return n;
}

static node *parse_block(parser *p, node *n) {
    static const char *const ends[] = {"endblock", NULL};
    expect_name(p);
    accept_word(p, "scoped");
    accept_word(p, "required");
    n->body = block_body(p, ends);
    advance(p);
    if (p->now.type == TOKEN_NAME) advance(p);
    expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
    return n;
}

/* What an assistant said, marked so for training: its text counts as any other. */
static node *parse_generation(parser *p, node *n) {
    static const char *const ends[] = {"endgeneration", NULL};
    int loops = p->loops;
    p->loops = 0;
    n->body = block_body(p, ends);
    p->loops = loops;
    close_tag(p);
    return n;
}

static node *parse_jump(parser *p, node *n) {
    if (p->loops == 0) return refuse(p, "break or continue stands outside of a loop");
    expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
    return n;
}

static node *parse_print(parser *p, node *n) {
    node **tail = &n->first;
    while (!failed(p) && p->now.type != TOKEN_BLOCK_END) {
        if (n->first) expect_operator(p, ",");
        append(&tail, expression(p));
    }
    expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
    return n;
}

/* THE table of tags. */
static const struct {
    const char *word;
    node_type type;
    node *(*parse)(parser *p, node *n); /* NULL: known, but not for chat templates */
    bool own_frame;                     /* no condition around it counts inside */
} tags[] = {
    {"set", N_SET, parse_set},
    {"if", N_IF, parse_if},
    {"for", N_FOR, parse_for, true},
    {"macro", N_MACRO, parse_macro, true},
    {"call", N_CALL_BLOCK, parse_call, true},
    {"filter", N_FILTER_BLOCK, parse_filter_block, true},
    {"with", N_WITH, parse_with, true},
    {"block", N_SCOPE, parse_block, true},
    {"generation", N_SCOPE, parse_generation, true},
    {"break", N_BREAK, parse_jump},
    {"continue", N_CONTINUE, parse_jump},
    {"print", N_OUTPUT, parse_print},
    {"extends", 0, NULL},
    {"include", 0, NULL},
    {"import", 0, NULL},
    {"from", 0, NULL},
    {"autoescape", 0, NULL},
};

static node *statement(parser *p) {
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!is_word(&p->now, tags[i].word)) continue;
        if (!tags[i].parse) return refuse(p, "a tag that chat templates cannot use (there is one file alone)");
        node *n = new_node(p, tags[i].type, NULL);
        bool soft = p->soft;
        if (tags[i].own_frame) p->soft = false;
        advance(p);
        if (!n || !enter(p)) return NULL;
        n = tags[i].parse(p, n);
        p->depth--;
        p->soft = soft;
        return n;
    }
    return refuse(p, p->now.type == TOKEN_NAME ? "expected a tag that Jinja knows, and here" : "expected a tag's name");
}

static bool is_one_of(const token *t, const char *const *words) {
    for (; words && *words; words++) {
        if (is_word(t, *words)) return true;
    }
    return false;
}

/* Statements up to a tag of `ends`, whose word is then the current token; NULL: to the template's end. */
static node *statements(parser *p, const char *const *ends) {
    node *body = NULL, **tail = &body;
    if (!enter(p)) return NULL;
    while (!failed(p)) {
        node *n = NULL;
        uint32_t line = p->now.line;
        if (p->now.type == TOKEN_END) {
            if (ends) {
                p->m->line = line;
                throw(p->m, "the template ends, but '%s' is still to come", ends[0]);
            }
            break;
        } else if (p->now.type == TOKEN_TEXT) {
            n = new_node(p, N_TEXT, NULL);
            if (n) n->name = p->now.s;
            advance(p);
        } else if (p->now.type == TOKEN_PRINT_BEGIN) {
            advance(p);
            n = new_node(p, N_OUTPUT, NULL);
            node *e = tuple(p, true, NULL, false);
            if (n) n->first = e;
            expect_type(p, TOKEN_PRINT_END, "expected the end of the expression }}");
        } else {
            advance(p);
            if (is_one_of(&p->now, ends)) break;
            n = statement(p);
        }
        if (n) n->line = line;
        append(&tail, n);
    }
    p->depth--;
    return body;
}

/* ---- the whole -------------------------------------------------------------------------------- */

/* \r\n and \r are line ends like \n; one at the very end does not count. */
static bool copy_source(template *t, str source) {
    char *p = heap_alloc(&t->mem, source.n + 1);
    if (!p) return false;
    size_t n = 0;
    for (size_t i = 0; i < source.n; i++) {
        bool pair = source.p[i] == '\r' && i + 1 < source.n && source.p[i + 1] == '\n';
        p[n++] = source.p[i] == '\r' ? '\n' : source.p[i];
        i += pair;
    }
    if (n > 0 && p[n - 1] == '\n') n--;
    t->source = (str){p, n};
    return true;
}

template *template_parse(str source, gguf_error *err) {
    if (source.n > TEMPLATE_MAX_SOURCE) {
        fail(err, GGUF_ERR_USAGE, "the chat template has %zu bytes; %d are possible", source.n, TEMPLATE_MAX_SOURCE);
        return NULL;
    }
    template *t = calloc(1, sizeof *t);
    if (t) t->mem.limit = TEMPLATE_MAX_MEMORY;
    if (!t || !copy_source(t, source)) {
        fail_memory(err, "the chat template", source.n);
        template_free(t);
        return NULL;
    }
    vm m = {.mem = {.limit = TEMPLATE_MAX_MEMORY}, .err = err, .line = 1};
    parser p = {.m = &m, .t = t, .lexer = {.m = &m, .source = t->source, .line = 1, .line_starting = true}};
    static const str first_names[FIRST_NAMES] = {[NAME_LOOP] = STR("loop"),
                                                 [NAME_CALLER] = STR("caller"),
                                                 [NAME_VARARGS] = STR("varargs"),
                                                 [NAME_KWARGS] = STR("kwargs")};
    for (size_t i = 0; i < FIRST_NAMES; i++) intern(&p, first_names[i]);
    advance(&p);
    t->body = statements(&p, NULL);
    if (p.unknown && !m.failed) {
        m.line = p.unknown->line;
        throw(&m, "there is no %s named '%.*s'", p.unknown->type == N_FILTER ? "filter" : "test",
              STR_ARG(p.unknown->name));
    }
    t->parse_mem = m.mem;
    if (!m.failed) return t;
    template_free(t);
    return NULL;
}

void template_free(template *t) {
    if (!t) return;
    heap_free(&t->mem);
    heap_free(&t->parse_mem);
    free(t);
}

bool template_reads(const template *t, str name) {
    for (size_t i = FIRST_NAMES; i < t->names.n; i++) {
        if (str_eq(t->names.names[i], name)) return true;
    }
    return false;
}

bool template_contains(const template *t, str what) { return find_bytes(t->source, what, 0) >= 0; }
