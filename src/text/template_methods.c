/* Methods of strings, lists, dicts and numbers, as Python has them. Those that change a value are not there: the
 * sandbox forbids them. */
#include <math.h>

#include "text/template_internal.h"
#include "text/unicode.h"

static bool need_string(vm *m, value v, const char *what) {
    if (is_string(v)) return true;
    if (v.type == T_UNDEFINED)
        throw_undefined(m, v);
    else
        throw(m, "%s takes a string, not a %s", what, type_name(v));
    return false;
}

static int64_t whole_or(vm *m, value v, int64_t other, const char *what) {
    if (!given(v)) return other;
    if (!is_whole(v)) throw(m, "%s takes a whole number, not a %s", what, type_name(v));
    return m->failed ? other : whole(v);
}

/* ---- strings ---------------------------------------------------------------------------------- */

static value s_strip(vm *m, value v, call_args *a) { return strip(m, v, a->v[0], STRIP_LEFT | STRIP_RIGHT); }
static value s_lstrip(vm *m, value v, call_args *a) { return strip(m, v, a->v[0], STRIP_LEFT); }
static value s_rstrip(vm *m, value v, call_args *a) { return strip(m, v, a->v[0], STRIP_RIGHT); }
static value s_upper(vm *m, value v, call_args *a) { return (void)a, change_case(m, v, CASE_UPPER); }
static value s_lower(vm *m, value v, call_args *a) { return (void)a, change_case(m, v, CASE_LOWER); }
static value s_title(vm *m, value v, call_args *a) { return (void)a, change_case(m, v, CASE_TITLE); }
static value s_capitalize(vm *m, value v, call_args *a) { return (void)a, change_case(m, v, CASE_CAPITAL); }

static value split(vm *m, value v, call_args *a, bool from_right) {
    bool none = !given(a->v[0]) || a->v[0].type == T_NONE;
    if (!none && !need_string(m, a->v[0], "split")) return UNDEFINED;
    return split_string(m, v, none ? ABSENT : a->v[0], whole_or(m, a->v[1], -1, "split"), from_right);
}

static value s_split(vm *m, value v, call_args *a) { return split(m, v, a, false); }
static value s_rsplit(vm *m, value v, call_args *a) { return split(m, v, a, true); }
static value s_splitlines(vm *m, value v, call_args *a) { return split_lines(m, v, truth(a->v[0])); }

static value s_replace(vm *m, value v, call_args *a) {
    if (!need_string(m, a->v[0], "replace") || !need_string(m, a->v[1], "replace")) return UNDEFINED;
    value to = v.u.s->markup ? escape_html(m, a->v[1]) : a->v[1];
    return m->failed ? UNDEFINED : replace(m, v, a->v[0], to, whole_or(m, a->v[2], -1, "replace"));
}

static value s_join(vm *m, value v, call_args *a) {
    value items = to_list(m, a->v[0]);
    for (size_t i = 0; !m->failed && i < items.u.list->n; i++) need_string(m, items.u.list->items[i], "join");
    return m->failed ? UNDEFINED : join(m, v, items);
}

static value s_format(vm *m, value v, call_args *a) { return brace_format(m, v, a); }

/* The part [start, end) that a search is limited to, as bytes from the whole's beginning. False: it cannot match. */
static bool search_part(vm *m, value v, value start, value end, size_t *from, size_t *to) {
    int64_t n = (int64_t)string_chars(v.u.s), begin = start.type == T_NONE ? 0 : whole_or(m, start, 0, "a search"),
            stop = end.type == T_NONE ? n : whole_or(m, end, n, "a search");
    if (begin < 0) begin = begin < -n ? 0 : begin + n;
    if (stop < 0) stop = stop < -n ? 0 : stop + n;
    *from = char_to_byte(v.u.s, (size_t)begin);
    *to = char_to_byte(v.u.s, (size_t)stop);
    return begin <= n && *from <= *to && !m->failed;
}

static size_t chars_before(value v, size_t byte) {
    string head = {.p = v.u.s->p, .n = byte, .chars = SIZE_MAX};
    return string_chars(&head);
}

static int64_t find(vm *m, value v, call_args *a, bool last) {
    size_t from, to;
    if (!need_string(m, a->v[0], "find") || !search_part(m, v, a->v[1], a->v[2], &from, &to)) return -1;
    str part = {v.u.s->p + from, to - from};
    if (last) spend(m, part.n * (view(a->v[0]).n + 1) / 8);
    ptrdiff_t at = m->failed ? -1 : last ? find_last(part, view(a->v[0])) : find_bytes(part, view(a->v[0]), 0);
    spend(m, v.u.s->n);
    return at < 0 ? -1 : (int64_t)chars_before(v, from + (size_t)at);
}

static value s_find(vm *m, value v, call_args *a) { return int_value(find(m, v, a, false)); }
static value s_rfind(vm *m, value v, call_args *a) { return int_value(find(m, v, a, true)); }

static value found_or_fail(vm *m, int64_t at) {
    return at < 0 ? throw(m, "index: what was looked for is not there") : int_value(at);
}
static value s_index(vm *m, value v, call_args *a) { return found_or_fail(m, find(m, v, a, false)); }
static value s_rindex(vm *m, value v, call_args *a) { return found_or_fail(m, find(m, v, a, true)); }

static value s_count(vm *m, value v, call_args *a) {
    size_t from, to;
    int64_t n = 0;
    if (!need_string(m, a->v[0], "count") || !search_part(m, v, a->v[1], a->v[2], &from, &to)) return int_value(0);
    str part = {v.u.s->p + from, to - from}, what = view(a->v[0]);
    spend(m, part.n);
    if (what.n == 0) return int_value((int64_t)(chars_before(v, to) - chars_before(v, from)) + 1);
    for (ptrdiff_t at = 0; (at = find_bytes(part, what, (size_t)at)) >= 0; at += (ptrdiff_t)what.n) n++;
    return int_value(n);
}

static bool at_side(str s, str what, bool end) {
    return s.n >= what.n && (what.n == 0 || memcmp(end ? s.p + s.n - what.n : s.p, what.p, what.n) == 0);
}

static value sides(vm *m, value v, call_args *a, bool end) {
    size_t from, to;
    bool several = a->v[0].type == T_TUPLE;
    size_t n = several ? a->v[0].u.list->n : 1;
    if (!search_part(m, v, a->v[1], a->v[2], &from, &to)) return bool_value(false);
    for (size_t i = 0; i < n; i++) {
        value what = several ? a->v[0].u.list->items[i] : a->v[0];
        if (!need_string(m, what, end ? "endswith" : "startswith")) return UNDEFINED;
        if (at_side((str){v.u.s->p + from, to - from}, view(what), end)) return bool_value(true);
    }
    return bool_value(false);
}

static value s_startswith(vm *m, value v, call_args *a) { return sides(m, v, a, false); }
static value s_endswith(vm *m, value v, call_args *a) { return sides(m, v, a, true); }

static value s_removeprefix(vm *m, value v, call_args *a) {
    if (!need_string(m, a->v[0], "removeprefix")) return UNDEFINED;
    return at_side(view(v), view(a->v[0]), false) ? substring(m, v.u.s, a->v[0].u.s->n, v.u.s->n) : v;
}

static value s_removesuffix(vm *m, value v, call_args *a) {
    if (!need_string(m, a->v[0], "removesuffix")) return UNDEFINED;
    return at_side(view(v), view(a->v[0]), true) ? substring(m, v.u.s, 0, v.u.s->n - a->v[0].u.s->n) : v;
}

static value partition(vm *m, value v, call_args *a, bool last) {
    value out = new_list(m, T_TUPLE, 3), empty = own_string(m, STR(""));
    if (!need_string(m, a->v[0], "partition")) return UNDEFINED;
    str what = view(a->v[0]);
    if (what.n == 0) return throw(m, "partition: the separator is empty");
    spend(m, last ? v.u.s->n / 64 * (what.n + 64) : v.u.s->n);
    ptrdiff_t at = m->failed ? -1 : last ? find_last(view(v), what) : find_bytes(view(v), what, 0);
    size_t n = v.u.s->n;
    if (at < 0) {
        list_add(m, out, last ? empty : v);
        list_add(m, out, empty);
        list_add(m, out, last ? v : empty);
    } else {
        list_add(m, out, substring(m, v.u.s, 0, (size_t)at));
        list_add(m, out, substring(m, v.u.s, (size_t)at, (size_t)at + what.n));
        list_add(m, out, substring(m, v.u.s, (size_t)at + what.n, n));
    }
    return out;
}

static value s_partition(vm *m, value v, call_args *a) { return partition(m, v, a, false); }
static value s_rpartition(vm *m, value v, call_args *a) { return partition(m, v, a, true); }

/* Whether the string is not empty and every character is of these categories. */
static bool all_in(value v, uint32_t set) {
    for (size_t at = 0; at < v.u.s->n;) {
        utf8_char c = utf8_decode(v.u.s->p + at, v.u.s->p + v.u.s->n);
        if (!(unicode_set(c.cp) & set) && !(set == UNI_SPACE && space_char(c.cp))) return false;
        at += c.n;
    }
    return v.u.s->n > 0;
}

static value s_isdecimal(vm *m, value v, call_args *a) { return (void)m, (void)a, bool_value(all_in(v, UNI_Nd)); }

/* Digits are also those above and below the line. */
static value s_isdigit(vm *m, value v, call_args *a) {
    (void)m, (void)a;
    for (size_t at = 0; at < v.u.s->n;) {
        utf8_char c = utf8_decode(v.u.s->p + at, v.u.s->p + v.u.s->n);
        bool raised =
            c.cp == 0xB2 || c.cp == 0xB3 || c.cp == 0xB9 || c.cp == 0x2070 || (c.cp >= 0x2074 && c.cp <= 0x2079);
        if (!(unicode_set(c.cp) & UNI_Nd) && !raised && !(c.cp >= 0x2080 && c.cp <= 0x2089)) return bool_value(false);
        at += c.n;
    }
    return bool_value(v.u.s->n > 0);
}
static value s_isnumeric(vm *m, value v, call_args *a) { return (void)m, (void)a, bool_value(all_in(v, UNI_N)); }
static value s_isalpha(vm *m, value v, call_args *a) { return (void)m, (void)a, bool_value(all_in(v, UNI_L)); }
static value s_isalnum(vm *m, value v, call_args *a) { return (void)m, (void)a, bool_value(all_in(v, UNI_L | UNI_N)); }
static value s_isspace(vm *m, value v, call_args *a) { return (void)m, (void)a, bool_value(all_in(v, UNI_SPACE)); }

static value s_isascii(vm *m, value v, call_args *a) {
    (void)m, (void)a;
    for (size_t i = 0; i < v.u.s->n; i++) {
        if ((uint8_t)v.u.s->p[i] >= 0x80) return bool_value(false);
    }
    return bool_value(true);
}

/* No control, format, unassigned or private characters, and no white space but the blank. */
static value s_isprintable(vm *m, value v, call_args *a) {
    (void)m, (void)a;
    for (size_t at = 0; at < v.u.s->n;) {
        utf8_char c = utf8_decode(v.u.s->p + at, v.u.s->p + v.u.s->n);
        if (c.cp != ' ' && (unicode_set(c.cp) & (UNI_C | UNI_SPACE))) return bool_value(false);
        at += c.n;
    }
    return bool_value(true);
}

/* Every word begins with a capital and goes on without. */
static value s_istitle(vm *m, value v, call_args *a) {
    (void)m, (void)a;
    bool inside = false, any = false;
    for (size_t at = 0; at < v.u.s->n;) {
        utf8_char c = utf8_decode(v.u.s->p + at, v.u.s->p + v.u.s->n);
        uint32_t set = unicode_set(c.cp);
        bool capital = set & (UNI_Lu | UNI_Lt), small = set & UNI_Ll;
        if ((capital && inside) || (small && !inside)) return bool_value(false);
        any = any || capital;
        inside = capital || small;
        at += c.n;
    }
    return bool_value(any);
}

/* Tabs become blanks up to the next column that is a multiple of the size. */
static value s_expandtabs(vm *m, value v, call_args *a) {
    int64_t size = whole_or(m, a->v[0], 8, "expandtabs"), column = 0;
    if (size > TEMPLATE_MAX_TEXT) return throw(m, "a width of %lld is too large", (long long)size);
    text t = {.m = m};
    for (size_t at = 0; at < v.u.s->n && !m->failed;) {
        size_t n = utf8_decode(v.u.s->p + at, v.u.s->p + v.u.s->n).n;
        char c = v.u.s->p[at];
        if (c != '\t') {
            text_add_string(&t, v.u.s, at, at + n);
            column = c == '\n' || c == '\r' ? 0 : column + 1;
        } else if (size > 0) {
            int64_t blanks = size - column % size;
            for (int64_t i = 0; i < blanks && !m->failed; i++) text_add(&t, " ", 1, owned(v.u.s, at));
            column += blanks;
        }
        at += n;
    }
    return text_value(&t);
}

static value test_by_name(vm *m, value v, const char *name) {
    return call_builtin(m, find_test(str_of(name)), v, NULL, 0, NULL);
}
static value s_isupper(vm *m, value v, call_args *a) { return (void)a, test_by_name(m, v, "upper"); }
static value s_islower(vm *m, value v, call_args *a) { return (void)a, test_by_name(m, v, "lower"); }

/* side -1: text left, 0: centred, 1: text right */
static value pad(vm *m, value v, call_args *a, int side) {
    int64_t width = whole_or(m, a->v[0], 0, "a width"), n = (int64_t)string_chars(v.u.s);
    value fill = given(a->v[1]) ? a->v[1] : own_string(m, STR(" "));
    if (!need_string(m, fill, "padding") || string_chars(fill.u.s) != 1) return throw(m, "padding takes one character");
    if (width > TEMPLATE_MAX_TEXT) return throw(m, "a width of %lld is too large", (long long)width);
    int64_t missing = width > n ? width - n : 0;
    int64_t left = side < 0 ? 0 : side > 0 ? missing : missing / 2 + (missing & width & 1);
    text t = {.m = m};
    for (int64_t i = 0; i < left && !m->failed; i++) text_add_value(&t, fill);
    text_add_value(&t, v);
    for (int64_t i = left; i < missing && !m->failed; i++) text_add_value(&t, fill);
    return text_value(&t);
}

static value s_ljust(vm *m, value v, call_args *a) { return pad(m, v, a, -1); }
static value s_rjust(vm *m, value v, call_args *a) { return pad(m, v, a, 1); }
static value s_center(vm *m, value v, call_args *a) { return pad(m, v, a, 0); }

static value s_zfill(vm *m, value v, call_args *a) {
    bool sign = v.u.s->n > 0 && (*v.u.s->p == '-' || *v.u.s->p == '+');
    int64_t width = whole_or(m, a->v[0], 0, "zfill"), n = (int64_t)string_chars(v.u.s);
    if (width > TEMPLATE_MAX_TEXT) return throw(m, "a width of %lld is too large", (long long)width);
    text t = {.m = m};
    text_add_string(&t, v.u.s, 0, sign);
    for (int64_t i = n; i < width && !m->failed; i++) text_add(&t, "0", 1, true);
    text_add_string(&t, v.u.s, sign, v.u.s->n);
    return text_value(&t);
}

static value s_swapcase(vm *m, value v, call_args *a) {
    (void)a;
    text t = {.m = m};
    for (size_t at = 0; at < v.u.s->n && !m->failed;) {
        utf8_char c = utf8_decode(v.u.s->p + at, v.u.s->p + v.u.s->n);
        value one = substring(m, v.u.s, at, at + c.n);
        bool upper = unicode_set(c.cp) & UNI_Lu;
        if (is_string(one)) text_add_value(&t, change_case(m, one, upper ? CASE_LOWER : CASE_UPPER));
        at += c.n;
    }
    return text_value(&t);
}

static const builtin string_methods[] = {
    {"strip", "/ chars", s_strip},
    {"lstrip", "/ chars", s_lstrip},
    {"rstrip", "/ chars", s_rstrip},
    {"upper", "", s_upper},
    {"lower", "", s_lower},
    {"casefold", "", s_lower},
    {"title", "", s_title},
    {"capitalize", "", s_capitalize},
    {"swapcase", "", s_swapcase},
    {"split", "/ sep maxsplit", s_split},
    {"rsplit", "/ sep maxsplit", s_rsplit},
    {"splitlines", "/ keepends", s_splitlines},
    {"replace", "old new / count", s_replace},
    {"join", "iterable", s_join},
    {"format", "*", s_format},
    {"find", "sub / start end", s_find},
    {"rfind", "sub / start end", s_rfind},
    {"index", "sub / start end", s_index},
    {"rindex", "sub / start end", s_rindex},
    {"count", "sub / start end", s_count},
    {"startswith", "prefix / start end", s_startswith},
    {"endswith", "suffix / start end", s_endswith},
    {"removeprefix", "prefix", s_removeprefix},
    {"removesuffix", "suffix", s_removesuffix},
    {"partition", "sep", s_partition},
    {"rpartition", "sep", s_rpartition},
    {"isdigit", "", s_isdigit},
    {"isdecimal", "", s_isdecimal},
    {"isnumeric", "", s_isnumeric},
    {"isalpha", "", s_isalpha},
    {"isalnum", "", s_isalnum},
    {"isspace", "", s_isspace},
    {"isupper", "", s_isupper},
    {"isascii", "", s_isascii},
    {"isprintable", "", s_isprintable},
    {"istitle", "", s_istitle},
    {"expandtabs", "/ tabsize", s_expandtabs},
    {"islower", "", s_islower},
    {"ljust", "width / fillchar", s_ljust},
    {"rjust", "width / fillchar", s_rjust},
    {"center", "width / fillchar", s_center},
    {"zfill", "width", s_zfill},
    {0},
};

/* ---- lists, dicts, numbers -------------------------------------------------------------------- */

static value l_index(vm *m, value v, call_args *a) {
    int64_t n = (int64_t)count_items(v), from = whole_or(m, a->v[1], 0, "index"), to = whole_or(m, a->v[2], n, "index");
    if (from < 0) from = from < -n ? 0 : from + n;
    if (to < 0) to += n;
    for (int64_t i = from; i < to && i < n && spend(m, 0); i++) {
        if (equal(m, item_at(m, v, (size_t)i), a->v[0])) return int_value(i);
    }
    return throw(m, "index: the value is not in the list");
}

static value l_count(vm *m, value v, call_args *a) {
    int64_t found = 0;
    for (size_t i = 0, n = count_items(v); i < n && spend(m, 0); i++) found += equal(m, item_at(m, v, i), a->v[0]);
    return int_value(found);
}

static value l_copy(vm *m, value v, call_args *a) { return (void)a, to_list(m, v); }

static const builtin list_methods[] = {{"index", "value / start stop", l_index},
                                       {"count", "value", l_count},
                                       {"copy", "", l_copy},
                                       {0}};
static const builtin tuple_methods[] = {{"index", "value / start stop", l_index}, {"count", "value", l_count}, {0}};

static value d_keys(vm *m, value v, call_args *a) { return (void)a, dict_view(m, v.u.dict, T_KEYS); }
static value d_values(vm *m, value v, call_args *a) { return (void)a, dict_view(m, v.u.dict, T_VALUES); }
static value d_items(vm *m, value v, call_args *a) { return (void)a, dict_view(m, v.u.dict, T_ITEMS); }

static value d_get(vm *m, value v, call_args *a) {
    const value *found = dict_find(m, v.u.dict, a->v[0]);
    return found ? *found : given(a->v[1]) ? a->v[1] : NONE;
}

static value d_copy(vm *m, value v, call_args *a) {
    (void)a;
    value out = new_dict(m);
    for (size_t i = 0; i < v.u.dict->n && spend(m, 0); i++)
        dict_set(m, out.u.dict, v.u.dict->entries[i].key, v.u.dict->entries[i].value);
    return out;
}

static const builtin dict_methods[] = {{"keys", "", d_keys}, {"values", "", d_values},        {"items", "", d_items},
                                       {"copy", "", d_copy}, {"get", "key / default", d_get}, {0}};

static value n_bit_length(vm *m, value v, call_args *a) {
    (void)m, (void)a;
    int64_t n = 0, i = whole(v);
    for (uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i; u; u >>= 1) n++;
    return int_value(n);
}
static value n_is_integer(vm *m, value v, call_args *a) {
    return (void)m, (void)a, bool_value(isfinite(v.u.f) && v.u.f == floor(v.u.f));
}
static const builtin whole_methods[] = {{"bit_length", "", n_bit_length}, {0}};
static const builtin real_methods[] = {{"is_integer", "", n_is_integer}, {0}};

/* ---- finding ---------------------------------------------------------------------------------- */

/* What would change a list or a dict. */
static const char *const list_changes[] = {"append", "clear",  "pop",    "reverse", "insert",
                                           "sort",   "extend", "remove", NULL};
static const char *const dict_changes[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};

static const struct {
    const builtin *methods;
    const char *const *changes;
} by_type[T_COUNT] = {
    [T_STRING] = {string_methods, NULL}, [T_LIST] = {list_methods, list_changes}, [T_TUPLE] = {tuple_methods, NULL},
    [T_RANGE] = {tuple_methods, NULL},   [T_DICT] = {dict_methods, dict_changes}, [T_INT] = {whole_methods, NULL},
    [T_BOOL] = {whole_methods, NULL},    [T_FLOAT] = {real_methods, NULL},
};

const builtin *find_method(value v, str name, bool *unsafe) {
    const builtin *row = by_type[v.type].methods;
    const char *const *change = by_type[v.type].changes;
    *unsafe = false;
    for (; change && *change && !*unsafe; change++) *unsafe = str_is(name, *change);
    for (; row && row->name; row++) {
        if (str_is(name, row->name)) return row;
    }
    return NULL;
}
