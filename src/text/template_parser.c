/* Tokens to a tree: statements, and the template as a whole. Their nesting is bounded as that of expressions. */
#include <stdlib.h>

#include "text/template_parser.h"

static node *statements(parser *p, const char *const *ends);

/* ---- statements ------------------------------------------------------------------------------- */

/* A name, a tuple of such, or (where namespaces are allowed) name.attribute. */
static node *target_item(parser *p, bool ns) {
    static const char *const reserved[] = {"true", "True", "false", "False", "none", "None"};
    if (is_operator(&p->now, "(") || is_operator(&p->now, "[")) {
        bool round = is_operator(&p->now, "(");
        node *n = new_node(p, N_TUPLE, NULL), **tail = n ? &n->first : NULL;
        if (!n || !enter_nesting(p)) return NULL;
        next_token(p);
        while (!parse_failed(p) && !is_operator(&p->now, round ? ")" : "]")) {
            if (n->first) expect_operator(p, ",");
            if (is_operator(&p->now, round ? ")" : "]")) break;
            append_node(&tail, target_item(p, false));
        }
        expect_operator(p, round ? ")" : "]");
        p->depth--;
        return n;
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (is_word(&p->now, reserved[i])) return refuse_token(p, "expected a variable");
    }
    node *n = new_node(p, N_NAME, NULL);
    if (p->in_for > 0 && is_word(&p->now, "loop"))
        return refuse_token(p, "expected another name: `loop` is the loop's own");
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
    while (!parse_failed(p)) {
        if (items) expect_operator(p, ",");
        if (items && (is_tuple_end(p, end_word) || is_operator(&p->now, "="))) break;
        append_node(&tail, target_item(p, ns));
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
    next_token(p);
    expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
}

static node *parse_set(parser *p, node *n) {
    static const char *const ends[] = {"endset", NULL};
    node *what = target(p, NULL, true);
    n->first = what;
    if (accept_operator(p, "=")) {
        node *v = parse_tuple(p, true, NULL, false);
        n->type = N_SET;
        if (what) what->next = v;
        expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
        return n;
    }
    n->type = N_SET_BLOCK;
    node **tail = &n->filters;
    while (accept_operator(p, "|")) append_node(&tail, parse_filter(p));
    n->body = block_body(p, ends);
    close_tag(p);
    return n;
}

static node *parse_for(parser *p, node *n) {
    static const char *const ends[] = {"endfor", "else", NULL}, *const else_ends[] = {"endfor", NULL};
    node **tail = &n->first;
    p->in_for++;
    append_node(&tail, target(p, "in", false));
    if (!accept_word(p, "in")) return refuse_token(p, "expected 'in'");
    append_node(&tail, parse_tuple(p, false, "recursive", false));
    append_node(&tail, accept_word(p, "if") ? parse_expression(p) : new_node(p, N_NOTHING, NULL));
    if (is_word(&p->now, "recursive"))
        return refuse_token(p, "recursive loops are not supported: write a macro that calls itself");
    p->loops++;
    n->body = block_body(p, ends);
    p->loops--;
    if (is_word(&p->now, "else")) {
        next_token(p);
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
        branch->first = parse_tuple(p, false, NULL, false);
        branch->body = block_body(p, ends);
        if (parse_failed(p)) return NULL;
        if (is_word(&p->now, "elif")) {
            branch->orelse = new_node(p, N_IF, NULL);
            branch = branch->orelse;
            if (!branch) return NULL;
            branch->op = 1; /* an elif, not an if inside of an else */
            next_token(p);
            continue;
        }
        if (is_word(&p->now, "else")) {
            next_token(p);
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
    while (!parse_failed(p) && !is_operator(&p->now, ")")) {
        if (params) expect_operator(p, ",");
        node *n = new_node(p, N_PARAM, NULL);
        str name = expect_name(p);
        if (!n) return NULL;
        n->name = name;
        for (const node *other = params; other; other = other->next) {
            if (str_eq(other->name, name)) return refuse_token(p, "two parameters have the same name");
        }
        if (accept_operator(p, "=")) {
            n->first = parse_expression(p);
            defaults = true;
        } else if (defaults) {
            return refuse_token(p, "a parameter without a default follows one with a default");
        }
        append_node(&tail, n);
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
    n->first = parse_expression(p);
    const node *last = n->first && n->first->type == N_CHAIN ? n->first->first : NULL;
    while (last && last->next) last = last->next;
    if (!parse_failed(p) && (!last || last->type != N_CALL)) return refuse_token(p, "expected a call");
    macro_body(p, n, ends);
    return n;
}

static node *parse_filter_block(parser *p, node *n) {
    static const char *const ends[] = {"endfilter", NULL};
    node **tail = &n->filters;
    do append_node(&tail, parse_filter(p));
    while (accept_operator(p, "|"));
    n->body = block_body(p, ends);
    close_tag(p);
    return n;
}

static node *parse_with(parser *p, node *n) {
    static const char *const ends[] = {"endwith", NULL};
    node **tail = &n->first;
    while (!parse_failed(p) && p->now.type != TOKEN_BLOCK_END && !is_operator(&p->now, ":")) {
        if (n->first) expect_operator(p, ",");
        append_node(&tail, target(p, NULL, false));
        expect_operator(p, "=");
        append_node(&tail, parse_expression(p));
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
    next_token(p);
    if (p->now.type == TOKEN_NAME) next_token(p);
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
    if (p->loops == 0) return refuse_token(p, "break or continue stands outside of a loop");
    expect_type(p, TOKEN_BLOCK_END, "expected the end of the tag %}");
    return n;
}

static node *parse_print(parser *p, node *n) {
    node **tail = &n->first;
    while (!parse_failed(p) && p->now.type != TOKEN_BLOCK_END) {
        if (n->first) expect_operator(p, ",");
        append_node(&tail, parse_expression(p));
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
        if (!tags[i].parse) return refuse_token(p, "a tag that chat templates cannot use (there is one file alone)");
        node *n = new_node(p, tags[i].type, NULL);
        bool soft = p->soft;
        if (tags[i].own_frame) p->soft = false;
        next_token(p);
        if (!n || !enter_nesting(p)) return NULL;
        n = tags[i].parse(p, n);
        p->depth--;
        p->soft = soft;
        return n;
    }
    return refuse_token(p, p->now.type == TOKEN_NAME ? "expected a tag that Jinja knows, and here"
                                                     : "expected a tag's name");
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
    if (!enter_nesting(p)) return NULL;
    while (!parse_failed(p)) {
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
            next_token(p);
        } else if (p->now.type == TOKEN_PRINT_BEGIN) {
            next_token(p);
            n = new_node(p, N_OUTPUT, NULL);
            node *e = parse_tuple(p, true, NULL, false);
            if (n) n->first = e;
            expect_type(p, TOKEN_PRINT_END, "expected the end of the expression }}");
        } else {
            next_token(p);
            if (is_one_of(&p->now, ends)) break;
            n = statement(p);
        }
        if (n) n->line = line;
        append_node(&tail, n);
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
    for (size_t i = 0; i < FIRST_NAMES; i++) intern_name(&p, first_names[i]);
    next_token(&p);
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
