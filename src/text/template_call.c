/* Calls of built-in functions: arguments bound to parameters. Tests, and what is there without being defined. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "text/template_internal.h"
#include "text/unicode.h"

/* The place of a parameter's name in "a b / c", or -1; *n: how many there are, *required: before the '/'. */
static int find_parameter(const char *params, str name, int *n, int *required) {
    int found = -1;
    *n = 0;
    *required = -1;
    for (const char *p = params; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (*p == '/')
            *required = *n;
        else if (str_eq((str){p, len}, name))
            found = (*n)++;
        else
            (*n)++;
        p += len;
    }
    if (*required < 0) *required = *n;
    return found;
}

value call_builtin(vm *m, const builtin *row, value self, const value *args, size_t n_args, dict *named) {
    call_args a = {.all = args, .n_all = n_args, .named = named};
    if (m->failed || !row) return UNDEFINED;
    for (int i = 0; i < MAX_PARAMS; i++) a.v[i] = ABSENT;
    if (strcmp(row->params, "*") == 0) return row->fn(m, self, &a);
    int n, required;
    find_parameter(row->params, STR(""), &n, &required);
    if (n_args > (size_t)n) return throw(m, "%s takes %d arguments, not %zu", row->name, n, n_args);
    for (size_t i = 0; i < n_args; i++) a.v[i] = args[i];
    for (size_t i = 0; named && i < named->n; i++) {
        str name = is_string(named->entries[i].key) ? view(named->entries[i].key) : STR("?");
        int place = find_parameter(row->params, name, &n, &required);
        if (place < 0) return throw(m, "%s takes no argument named '%.*s'", row->name, STR_ARG(name));
        if (given(a.v[place])) return throw(m, "%s: '%.*s' is given twice", row->name, STR_ARG(name));
        a.v[place] = named->entries[i].value;
    }
    for (int i = 0; i < required; i++) {
        if (!given(a.v[i])) return throw(m, "%s needs %d arguments", row->name, required);
    }
    return row->fn(m, self, &a);
}

static const builtin *find_row(const builtin *rows, size_t n, str name) {
    for (size_t i = 0; i < n; i++) {
        if (str_is(name, rows[i].name)) return &rows[i];
    }
    return NULL;
}

/* ---- tests ------------------------------------------------------------------------------------ */

#define TEST(name, condition)                                                                                          \
    static value name(vm *m, value v, call_args *a) {                                                                  \
        (void)m, (void)a;                                                                                              \
        return bool_value(condition);                                                                                  \
    }

static bool whole_operand(vm *m, value v) {
    if (is_number(v)) return true;
    if (v.type == T_UNDEFINED)
        throw_undefined(m, v);
    else
        throw(m, "a number is needed, not a %s", type_name(v));
    return false;
}

/* Whether all letters with a case have this one, and there is one. */
static bool has_case(vm *m, value v, uint32_t set, uint32_t other) {
    value s = to_string(m, v);
    bool any = false;
    for (size_t at = 0; is_string(s) && at < s.u.s->n;) {
        utf8_char c = utf8_decode(s.u.s->p + at, s.u.s->p + s.u.s->n);
        uint32_t category = unicode_set(c.cp);
        if (category & (other | UNI_Lt)) return false;
        any = any || (category & set);
        at += c.n;
    }
    return any;
}

static int order(vm *m, value a, value b) { return compare(m, a, b); }

TEST(is_defined, v.type != T_UNDEFINED)
TEST(is_undefined, v.type == T_UNDEFINED)
TEST(is_none, v.type == T_NONE)
TEST(is_boolean, v.type == T_BOOL)
TEST(is_true, v.type == T_BOOL && v.u.b)
TEST(is_false, v.type == T_BOOL && !v.u.b)
TEST(is_integer, v.type == T_INT)
TEST(is_float, v.type == T_FLOAT)
TEST(is_a_number, is_number(v))
TEST(is_a_string, is_string(v))
TEST(is_mapping, v.type == T_DICT)
TEST(is_sequence, is_string(v) || v.type == T_LIST || v.type == T_TUPLE || v.type == T_DICT || v.type == T_RANGE ||
                      v.type == T_UNDEFINED)
TEST(is_iterable, count_items(v) != SIZE_MAX || v.type == T_LOOP)
TEST(is_callable,
     v.type == T_MACRO || v.type == T_FUNCTION || v.type == T_METHOD || v.type == T_UNDEFINED || v.type == T_LOOP)
TEST(is_escaped, is_string(v) && v.u.s->markup)
TEST(is_lower, has_case(m, v, UNI_Ll, UNI_Lu))
TEST(is_upper, has_case(m, v, UNI_Lu, UNI_Ll))
TEST(is_in, contains(m, a->v[0], v))
TEST(is_eq, equal(m, v, a->v[0]))
TEST(is_ne, !equal(m, v, a->v[0]))
TEST(is_lt, order(m, v, a->v[0]) == -1)
TEST(is_le, order(m, v, a->v[0]) <= 0)
TEST(is_gt, order(m, v, a->v[0]) == 1)
TEST(is_ge, order(m, v, a->v[0]) == 0 || order(m, v, a->v[0]) == 1)
TEST(is_filter, is_string(v) && find_filter(view(v)))
TEST(is_test, is_string(v) && find_test(view(v)))
TEST(is_odd, whole_operand(m, v) && equal(m, binary(m, OP_MOD, v, int_value(2)), int_value(1)))
TEST(is_even, whole_operand(m, v) && equal(m, binary(m, OP_MOD, v, int_value(2)), int_value(0)))
TEST(is_divisible,
     whole_operand(m, v) && whole_operand(m, a->v[0]) && equal(m, binary(m, OP_MOD, v, a->v[0]), int_value(0)))
TEST(is_same,
     v.type == a->v[0].type && (is_list(v) || v.type == T_DICT ? v.u.list == a->v[0].u.list : equal(m, v, a->v[0])))

static const builtin tests[] = {
    {"defined", "", is_defined},
    {"undefined", "", is_undefined},
    {"none", "", is_none},
    {"boolean", "", is_boolean},
    {"true", "", is_true},
    {"false", "", is_false},
    {"integer", "", is_integer},
    {"float", "", is_float},
    {"number", "", is_a_number},
    {"string", "", is_a_string},
    {"mapping", "", is_mapping},
    {"sequence", "", is_sequence},
    {"iterable", "", is_iterable},
    {"callable", "", is_callable},
    {"escaped", "", is_escaped},
    {"lower", "", is_lower},
    {"upper", "", is_upper},
    {"filter", "", is_filter},
    {"test", "", is_test},
    {"odd", "", is_odd},
    {"even", "", is_even},
    {"divisibleby", "num", is_divisible},
    {"sameas", "other", is_same},
    {"in", "seq", is_in},
    {"eq", "b", is_eq},
    {"==", "b", is_eq},
    {"equalto", "b", is_eq},
    {"ne", "b", is_ne},
    {"!=", "b", is_ne},
    {"lt", "b", is_lt},
    {"<", "b", is_lt},
    {"lessthan", "b", is_lt},
    {"le", "b", is_le},
    {"<=", "b", is_le},
    {"gt", "b", is_gt},
    {">", "b", is_gt},
    {"greaterthan", "b", is_gt},
    {"ge", "b", is_ge},
    {">=", "b", is_ge},
};

const builtin *find_test(str name) { return find_row(tests, sizeof tests / sizeof *tests, name); }

/* ---- functions -------------------------------------------------------------------------------- */

static value make_range(vm *m, value self, call_args *a) {
    enum { MAX_RANGE = 100000 }; /* as the sandbox has it */
    (void)self;
    int64_t part[3] = {0, 0, 1};
    for (size_t i = 0; i < a->n_all; i++) {
        if (!is_whole(a->all[i]))
            return a->all[i].type == T_UNDEFINED ? throw_undefined(m, a->all[i])
                                                 : throw(m, "range takes whole numbers");
        if (i < 3) part[i] = whole(a->all[i]);
    }
    if (a->n_all < 1 || a->n_all > 3 || a->named) return throw(m, "range takes one to three numbers");
    if (a->n_all == 1) part[1] = part[0], part[0] = 0;
    if (part[2] == 0) return throw(m, "range: the step is 0");
    __extension__ typedef __int128 wide;
    wide span = part[2] > 0 ? (wide)part[1] - part[0] : (wide)part[0] - part[1],
         by = part[2] > 0 ? part[2] : -(wide)part[2];
    wide n = span <= 0 ? 0 : (span + by - 1) / by;
    if (n > MAX_RANGE) return throw(m, "range: more than %d numbers", MAX_RANGE);
    range *r = vm_alloc(m, 1, sizeof *r);
    if (r) *r = (range){part[0], part[1], part[2], (size_t)n};
    return r ? (value){.type = T_RANGE, .u.range = r} : UNDEFINED;
}

/* dict(...) and namespace(...): of a dict, of pairs, of named arguments. */
static value make_dict(vm *m, value self, call_args *a) {
    (void)self;
    value out = new_dict(m);
    if (a->n_all > 1) return throw(m, "dict takes one dict or list of pairs, and named values");
    value from = a->n_all ? a->all[0] : UNDEFINED, items = new_list(m, T_LIST, 0);
    if (from.type == T_DICT || from.type == T_NAMESPACE)
        items = dict_view(m, from.u.dict, T_ITEMS);
    else if (from.type != T_UNDEFINED || a->n_all)
        items = to_list(m, from);
    for (size_t i = 0; !m->failed && i < items.u.list->n; i++) {
        value pair = to_list(m, items.u.list->items[i]);
        if (m->failed || pair.u.list->n != 2) return throw(m, "dict takes pairs of a key and a value");
        dict_set(m, out.u.dict, pair.u.list->items[0], pair.u.list->items[1]);
    }
    for (size_t i = 0; a->named && i < a->named->n && !m->failed; i++)
        dict_set(m, out.u.dict, a->named->entries[i].key, a->named->entries[i].value);
    return out;
}

static value make_namespace(vm *m, value self, call_args *a) {
    value out = make_dict(m, self, a);
    if (m->failed) return UNDEFINED;
    for (size_t i = 0; i < out.u.dict->n; i++) {
        value key = out.u.dict->entries[i].key;
        if (is_string(key) && key.u.s->n && *key.u.s->p == '_')
            return throw(m, "'%.*s': names in a namespace do not begin with _", STR_ARG(view(key)));
    }
    out.type = T_NAMESPACE;
    return out;
}

static value raise_exception(vm *m, value self, call_args *a) {
    (void)self;
    value s = to_string(m, a->v[0]);
    if (m->failed) return UNDEFINED;
    return throw(m, "it refuses the conversation: %.*s", (int)(s.u.s->n < 300 ? s.u.s->n : 300), s.u.s->p);
}

static value strftime_now(vm *m, value self, call_args *a) {
    (void)self;
    char format[256], out[1024];
    if (!is_string(a->v[0])) return throw(m, "strftime_now takes a string");
    str s = view(a->v[0]);
    if (s.n >= sizeof format || memchr(s.p, 0, s.n)) return throw(m, "strftime_now: the format is too long");
    if (s.n) memcpy(format, s.p, s.n);
    format[s.n] = 0;
    time_t now = m->input->has_clock ? (time_t)m->input->clock : time(NULL);
    struct tm t;
    if (m->input->has_clock ? !gmtime_r(&now, &t) : !localtime_r(&now, &t)) return throw(m, "the clock has no date");
    size_t n = strftime(out, sizeof out, format, &t);
    return new_string(m, (str){out, n}, s.n == 0 || owned(a->v[0].u.s, 0));
}

static value call_cycler(vm *m, value self, call_args *a) {
    (void)self, (void)a;
    return throw(m, "cycler, joiner and lipsum are not there for chat templates");
}

static const builtin globals[] = {
    {"range", "*", make_range},
    {"dict", "*", make_dict},
    {"namespace", "*", make_namespace},
    {"raise_exception", "message", raise_exception},
    {"strftime_now", "format", strftime_now},
    {"cycler", "*", call_cycler},
    {"joiner", "*", call_cycler},
    {"lipsum", "*", call_cycler},
};

const builtin *find_global(str name) { return find_row(globals, sizeof globals / sizeof *globals, name); }
