/* What the parts of the template interpreter share: values, the machine that holds them, the tree of a template. */
#ifndef TEXT_TEMPLATE_INTERNAL_H
#define TEXT_TEMPLATE_INTERNAL_H

#include "text/template.h"

typedef struct vm vm;
typedef struct node node;
typedef struct scope scope;
typedef struct call_args call_args;
typedef struct text text;

/* ---- values ----------------------------------------------------------------------------------- */

typedef enum {
    T_UNDEFINED, /* u.hint says of what, or is NULL */
    T_NONE,
    T_BOOL,
    T_INT,
    T_FLOAT,
    T_STRING,
    T_LIST, /* from here to T_ITERATOR: u.list */
    T_TUPLE,
    T_KEYS, /* what a dict's keys(), values() and items() give */
    T_VALUES,
    T_ITEMS,
    T_ITERATOR, /* what filters like map give: it can be gone through once */
    T_RANGE,
    T_DICT, /* u.dict, also that of a namespace */
    T_NAMESPACE,
    T_MACRO,
    T_FUNCTION,
    T_METHOD,
    T_LOOP,
    T_ABSENT, /* an argument that was not given */
    T_COUNT
} value_type;

typedef struct {
    const char *p;
    const uint8_t *own; /* [n] 1 where the template wrote the byte; NULL: all bytes as all_own says */
    size_t n;
    size_t chars; /* code points; SIZE_MAX: not counted yet */
    bool all_own;
    bool markup; /* came through `safe` or `escape`: what is added to it is escaped */
} string;

typedef struct list list;
typedef struct dict dict;
typedef struct loop loop;

typedef struct {
    str name;         /* of what is undefined; or the whole message */
    value_type owner; /* what has no such attribute; T_ABSENT: a variable; T_UNDEFINED: name is the message */
    bool unsafe;      /* it exists, but the sandbox keeps it away */
} undefined_hint;

typedef struct {
    const node *node; /* N_MACRO or N_CALL_BLOCK */
    scope *scope;     /* where it was defined */
} macro;

typedef struct {
    int64_t start, stop, step;
    size_t n;
} range;

struct method_value;

typedef struct value {
    uint8_t type;    /* value_type */
    bool from_input; /* a number, truth or none that came from the caller: printed, its digits are the caller's */
    union {
        bool b;
        int64_t i;
        double f;
        string *s;
        list *list;
        dict *dict;
        range *range;
        macro *macro;
        loop *loop;
        const undefined_hint *hint;
        const struct builtin *function;
        const struct method_value *method;
    } u;
} value;

struct list {
    value *items;
    size_t n, room;
    size_t at;     /* T_ITERATOR: the next */
    bool is_group; /* T_TUPLE: of groupby, its items are `grouper` and `list` as well */
};

typedef struct {
    value key, value;
} entry;

struct dict {
    entry *entries; /* in the order of insertion */
    size_t n, room;
    uint32_t *slots; /* 1 + place in entries; NULL while n is small */
    size_t mask;
};

struct loop {
    value seq;    /* what is left is seq[at ..) */
    size_t at;    /* of the source */
    size_t index; /* from 0 */
    value previous, current, next;
    bool has_next;
    value *rest; /* items fetched ahead by `length` */
    size_t n_rest, rest_at;
    size_t length; /* SIZE_MAX: not known */
    value changed; /* what `changed` was called with last; T_ABSENT */
    const node *node;
    scope *scope; /* the loop's filter runs in it */
};

#define UNDEFINED ((value){.type = T_UNDEFINED})
#define ABSENT    ((value){.type = T_ABSENT})
#define NONE      ((value){.type = T_NONE})
static inline value bool_value(bool b) { return (value){.type = T_BOOL, .u.b = b}; }
static inline value int_value(int64_t i) { return (value){.type = T_INT, .u.i = i}; }
static inline value float_value(double f) { return (value){.type = T_FLOAT, .u.f = f}; }
static inline bool is_string(value v) { return v.type == T_STRING; }
static inline bool is_list(value v) { return v.type >= T_LIST && v.type <= T_ITERATOR; }
static inline bool is_whole(value v) { return v.type == T_INT || v.type == T_BOOL; }
static inline bool is_number(value v) { return is_whole(v) || v.type == T_FLOAT; }
static inline bool given(value v) { return v.type != T_ABSENT; }
static inline int64_t whole(value v) { return v.type == T_BOOL ? v.u.b : v.u.i; }
static inline double real(value v) { return v.type == T_FLOAT ? v.u.f : (double)whole(v); }
static inline str view(value s) { return (str){s.u.s->p, s.u.s->n}; }

/* ---- the machine ------------------------------------------------------------------------------ */

typedef struct chunk chunk;

/* Memory of one render or one parse, released all at once. */
typedef struct {
    chunk *chunks;
    size_t total; /* bytes taken from the system */
    size_t limit;
} heap;

void *heap_alloc(heap *h, size_t n); /* zeroed; NULL: the system or the limit has no more */
/* p[0..old) with room for n bytes, moved where needed; the new bytes are not zeroed. */
void *heap_grow(heap *h, void *p, size_t old, size_t n);
void heap_free(heap *h);

/* The first error is kept, and makes everything that follows harmless: functions go on with values that are safe, and
 * loops look at `failed`. */
struct vm {
    heap mem;
    gguf_error *err;
    bool failed;
    uint32_t line; /* of the statement that runs */
    uint64_t steps;
    int depth, macro_depth;
    const template *t;
    const template_input *input;
    scope *scope;
    text *out; /* where statements write */
    int jump;  /* 0; or that a `break` or `continue` looks for its loop */
};

/* Fails with "chat template, line N: ..." and returns UNDEFINED. */
value throw(vm * m, const char *fmt, ...) PRINTF_LIKE(2, 3);
value throw_undefined(vm *m, value v); /* with what v's hint says */
void *vm_alloc(vm *m, size_t n, size_t size);
bool spend(vm *m, size_t bytes); /* counts a step, and one more for each KiB; false where there have been too many */

/* ---- text ------------------------------------------------------------------------------------- */

/* A string that is being made. */
struct text {
    vm *m;
    char *p;
    uint8_t *own;
    size_t n, room;
};

void text_add(text *t, const char *p, size_t n, bool own);
void text_add_string(text *t, const string *s, size_t from, size_t to); /* bytes [from, to) */
void text_add_value(text *t, value v);                                  /* as str() prints it */
void text_printf(text *t, bool own, const char *fmt, ...) PRINTF_LIKE(3, 4);
value text_value(text *t);

value own_string(vm *m, str s);                                  /* the template's; s is not copied */
value new_string(vm *m, str s, bool own);                        /* s is copied */
value substring(vm *m, const string *s, size_t from, size_t to); /* bytes */
bool owned(const string *s, size_t at);
/* str(v) and repr(v); a string stays as it is under str. */
value to_string(vm *m, value v);
void repr(text *t, value v, int depth);
void print_float(text *t, double f, bool own);
value escape_html(vm *m, value s);

size_t string_chars(string *s);
size_t char_to_byte(string *s, size_t index); /* where the character of that number begins */
bool space_char(uint32_t cp);                 /* as Python's str.isspace */
enum { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_CAPITAL };
value change_case(vm *m, value s, int how);
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
value strip(vm *m, value s, value chars, int sides);
value replace(vm *m, value s, value from, value to, int64_t limit);
value split_string(vm *m, value s, value separator, int64_t limit, bool from_right);
value split_lines(vm *m, value s, bool keep_ends);
value join(vm *m, value separator, value items);
ptrdiff_t find_bytes(str in, str what, size_t from);
ptrdiff_t find_last(str in, str what);
value percent_format(vm *m, value format, value args); /* format % args */
value brace_format(vm *m, value format, const call_args *args);
int64_t parse_whole(str s, int base, bool *ok);
double parse_real(str s, bool *ok);

/* ---- lists, dicts, operators ------------------------------------------------------------------ */

value new_list(vm *m, value_type type, size_t room);
void list_add(vm *m, value l, value item);
value new_dict(vm *m);
void dict_set(vm *m, dict *d, value key, value v); /* fails where the key cannot be one */
const value *dict_find(vm *m, const dict *d, value key);
const value *dict_find_str(vm *m, const dict *d, str key);
value dict_view(vm *m, dict *d, value_type type); /* T_KEYS T_VALUES T_ITEMS */

/* How many items v has; SIZE_MAX: it cannot be gone through. An iterator counts what is left. */
size_t count_items(value v);
value item_at(vm *m, value v, size_t i);
/* All items as a T_LIST of its own; an iterator is used up. Fails where v cannot be gone through. */
value to_list(vm *m, value v);

bool truth(value v);
bool equal(vm *m, value a, value b);
int compare(vm *m, value a, value b); /* -1 0 1; fails where there is no order */
bool contains(vm *m, value in, value what);
const char *type_name(value v);

typedef enum { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW } binary_op;
value binary(vm *m, binary_op op, value a, value b);
value negate(vm *m, value v);
value get_item(vm *m, value v, value key);
value get_attribute(vm *m, value v, str name);
value get_path(vm *m, value v, value path);                 /* "a.b.0", as filters' `attribute` */
value get_path_or(vm *m, value v, value path, value other); /* `other` wherever a part of the path is undefined */
value slice(vm *m, value v, value start, value stop, value step);

/* ---- JSON ------------------------------------------------------------------------------------- */

/* The value of a JSON text; its strings are the caller's. `what` names the text in errors; NULL: it is
 * a template's. */
value parse_json(vm *m, str json, const char *what);
value to_json(vm *m, value v, value ensure_ascii, value indent, value separators, value sort_keys);

/* ---- functions, methods, filters, tests ------------------------------------------------------- */

enum { MAX_PARAMS = 8 };

/* Arguments of a call, bound to the parameters of what is called. */
struct call_args {
    value v[MAX_PARAMS]; /* T_ABSENT where none was given */
    const value *all;    /* those without a name, as given */
    size_t n_all;
    dict *named; /* or NULL */
};

typedef value builtin_fn(vm *m, value self, call_args *a);

/* A row of a table of functions, methods, filters or tests. */
typedef struct builtin {
    const char *name;
    /* Names of the parameters, separated by spaces; those behind '/' need not be given. "*": any arguments. */
    const char *params;
    builtin_fn *fn;
} builtin;

typedef struct method_value {
    const builtin *row;
    value self;
} method_value;

/* Filters of template_markup.c. */
builtin_fn f_filesizeformat, f_urlencode, f_wordwrap, f_xmlattr;

const builtin *find_filter(str name);
const builtin *find_test(str name);
const builtin *find_global(str name);
/* A method of v; *unsafe: it has one that would change it, which the sandbox forbids. */
const builtin *find_method(value v, str name, bool *unsafe);
/* Calls a row with arguments in the order given. */
value call_builtin(vm *m, const builtin *row, value self, const value *args, size_t n, dict *named);
/* Calls a value: a macro, function or method. */
value call_value(vm *m, value f, const value *args, size_t n, dict *named);
value loop_attribute(vm *m, loop *l, str name, bool *found);
bool loop_fetch(vm *m, loop *l, value *item);

/* ---- the tree --------------------------------------------------------------------------------- */

typedef enum {
    /* expressions */
    N_CONST,   /* value */
    N_NAME,    /* name */
    N_LIST,    /* first: items */
    N_TUPLE,   /* first: items */
    N_DICT,    /* first: key, value, key, value ... */
    N_COND,    /* first: test, a, b or nothing */
    N_OR,      /* first: operands */
    N_AND,     /* first: operands */
    N_NOT,     /* first */
    N_NEG,     /* first */
    N_POS,     /* first */
    N_COMPARE, /* first: operand; the others have op */
    N_MATH,    /* first: operand; the others have op */
    N_CONCAT,  /* first: operands */
    N_CHAIN,   /* first: operand; then N_ATTRIBUTE, N_ITEM, N_CALL, N_FILTER, N_TEST */
    /* links of a chain */
    N_ATTRIBUTE, /* name */
    N_ITEM,      /* first: the key, or N_SLICE */
    N_CALL,      /* first: arguments */
    N_FILTER,    /* name, first: arguments */
    N_TEST,      /* name, first: arguments; op: negated */
    N_SLICE,     /* first: start, stop, step, each maybe N_NOTHING */
    N_NOTHING,
    /* arguments */
    N_KEYWORD, /* name, first: the value */
    N_STAR,    /* first: *args */
    N_STARSTAR,
    /* statements */
    N_TEXT,      /* text */
    N_OUTPUT,    /* first: expressions */
    N_SET,       /* first: target, value */
    N_SET_BLOCK, /* first: target; body; filters: chain of filters or NULL */
    N_NSREF,     /* a target: name.attribute */
    N_IF,        /* first: test; body; orelse: N_IF or other statements */
    N_FOR,       /* first: target, sequence, filter or N_NOTHING; body, orelse */
    N_BREAK,
    N_CONTINUE,
    N_MACRO,        /* name; first: parameters (N_PARAM); body */
    N_PARAM,        /* name; first: default or NULL */
    N_CALL_BLOCK,   /* first: the call; params; body */
    N_FILTER_BLOCK, /* filters; body */
    N_WITH,         /* first: target, value, ...; body */
    N_SCOPE,        /* body: block, generation */
} node_type;

enum { READS_VARARGS = 1, READS_KWARGS = 2, READS_CALLER = 4 };

struct node {
    uint8_t type; /* node_type */
    uint8_t op;   /* binary_op, compare_op, or what the type says */
    uint8_t reads;
    uint32_t line;
    str name, attribute;
    value value;
    node *next; /* the sibling */
    node *first;
    node *body, *orelse, *filters, *params;
};

typedef enum { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_IN, CMP_NOT_IN } compare_op;

/* Names are kept once each, so that they can be compared by address. */
/* The first names of every template. */
enum { NAME_LOOP, NAME_CALLER, NAME_VARARGS, NAME_KWARGS, FIRST_NAMES };

typedef struct {
    str *names;
    size_t n, room;
} name_list;

struct template {
    heap mem;       /* of the tree */
    heap parse_mem; /* of its strings and the source */
    str source;     /* line ends are \n */
    node *body;
    name_list names;
};

/* ---- lexer ------------------------------------------------------------------------------------ */

typedef enum {
    TOKEN_END,
    TOKEN_TEXT,
    TOKEN_BLOCK_BEGIN,
    TOKEN_BLOCK_END,
    TOKEN_PRINT_BEGIN,
    TOKEN_PRINT_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INT,
    TOKEN_FLOAT,
    TOKEN_OPERATOR
} token_type;

typedef struct {
    token_type type;
    uint32_t line;
    str s; /* text, name, operator, or a string's value */
    int64_t i;
    double f;
} token;

typedef struct {
    vm *m;
    str source;
    size_t at, counted; /* lines are counted up to `counted` */
    uint32_t line;
    bool line_starting;
    int inside;                        /* 0: text; else the token that began the tag */
    char brackets[TEMPLATE_MAX_DEPTH]; /* those that are open */
    size_t n_brackets;
    int tag; /* 0, or the second character of the tag that begins at `at` */
} lexer;

bool lex(lexer *l, token *out);

#endif
