/* What the two halves of the parser share: template_expressions.c and template_parser.c. */
#ifndef TEXT_TEMPLATE_PARSER_H
#define TEXT_TEMPLATE_PARSER_H

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

static inline bool parse_failed(const parser *p) { return p->m->failed; }
static inline bool is_operator(const token *t, const char *what) {
    return t->type == TOKEN_OPERATOR && str_is(t->s, what);
}
static inline bool is_word(const token *t, const char *what) { return t->type == TOKEN_NAME && str_is(t->s, what); }

/* ---- tokens: p->now is the one to be read ------------------------------------------------------ */

void next_token(parser *p);
node *refuse_token(parser *p, const char *what); /* fails, saying what is there instead; NULL */
bool accept_operator(parser *p, const char *what);
bool accept_word(parser *p, const char *what);
void expect_operator(parser *p, const char *what);
void expect_type(parser *p, token_type type, const char *what);
str expect_name(parser *p);
bool enter_nesting(parser *p); /* counts in p->depth; fails where it is too deep */

/* ---- nodes ------------------------------------------------------------------------------------ */

node *new_node(parser *p, node_type type, node *first);
void append_node(node ***tail, node *n); /* to a list of siblings whose end is *tail */
str intern_name(parser *p, str name);

/* ---- expressions ------------------------------------------------------------------------------ */

node *parse_expression(parser *p);
node *parse_tuple(parser *p, bool with_cond, const char *end_word, bool parentheses);
bool is_tuple_end(const parser *p, const char *end_word);
node *parse_filter(parser *p);

#endif
