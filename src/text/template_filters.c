/* Filters, as jinja2 has them; `tojson` is json.dumps. */
#include <math.h>
#include <stdio.h>

#include "text/template_internal.h"
#include "text/unicode.h"

static bool is_set(value v) { return given(v) && v.type != T_NONE; }

/* soft_str: a string with its markup. */
static value soft(vm *m, value v) { return to_string(m, v); }

/* str(): a plain string, also of one that was escaped. */
static value plain(vm *m, value v) {
    v = to_string(m, v);
    return is_string(v) && v.u.s->markup ? (v = substring(m, v.u.s, 0, v.u.s->n), v.u.s->markup = false, v) : v;
}

static int64_t need_whole(vm *m, value v, int64_t other, const char *what) {
    if (!is_set(v)) return other;
    if (!is_whole(v)) throw(m, "%s takes a whole number, not a %s", what, type_name(v));
    return m->failed ? other : whole(v);
}

static value empty_undefined(vm *m, str message) {
    undefined_hint *h = vm_alloc(m, 1, sizeof *h);
    if (h) *h = (undefined_hint){message, T_UNDEFINED, false};
    return (value){.type = T_UNDEFINED, .u.hint = h};
}

/* ---- text ------------------------------------------------------------------------------------- */

static value f_upper(vm *m, value v, call_args *a) { return (void)a, change_case(m, soft(m, v), CASE_UPPER); }
static value f_lower(vm *m, value v, call_args *a) { return (void)a, change_case(m, soft(m, v), CASE_LOWER); }
static value f_capitalize(vm *m, value v, call_args *a) { return (void)a, change_case(m, soft(m, v), CASE_CAPITAL); }
static value f_trim(vm *m, value v, call_args *a) { return strip(m, soft(m, v), a->v[0], STRIP_LEFT | STRIP_RIGHT); }
static value f_string(vm *m, value v, call_args *a) { return (void)a, soft(m, v); }
static value f_escape(vm *m, value v, call_args *a) { return (void)a, escape_html(m, v); }
static value f_forceescape(vm *m, value v, call_args *a) { return (void)a, escape_html(m, plain(m, v)); }

static value f_safe(vm *m, value v, call_args *a) {
    (void)a;
    v = to_string(m, v);
    if (m->failed) return UNDEFINED;
    v = substring(m, v.u.s, 0, v.u.s->n);
    if (is_string(v)) v.u.s->markup = true;
    return v;
}

/* Words begin after blanks, brackets and hyphens. */
static value f_title(vm *m, value v, call_args *a) {
    (void)a;
    value s = soft(m, v);
    text t = {.m = m};
    bool begins = true;
    for (size_t at = 0; at < s.u.s->n && spend(m, 0);) {
        utf8_char c = utf8_decode(s.u.s->p + at, s.u.s->p + s.u.s->n);
        value one = substring(m, s.u.s, at, at + c.n);
        if (is_string(one)) text_add_value(&t, change_case(m, one, begins ? CASE_UPPER : CASE_LOWER));
        begins = space_char(c.cp) || (c.cp < 0x80 && c.cp && strchr("-({[<", (int)c.cp));
        at += c.n;
    }
    return text_value(&t);
}

static value f_replace(vm *m, value v, call_args *a) {
    value s = plain(m, v), from = plain(m, a->v[0]), to = plain(m, a->v[1]);
    return m->failed ? UNDEFINED : replace(m, s, from, to, need_whole(m, a->v[2], -1, "replace"));
}

static value f_format(vm *m, value v, call_args *a) {
    value args = new_list(m, T_TUPLE, a->n_all);
    if (a->n_all && a->named) return throw(m, "format takes values with names or without, not both");
    for (size_t i = 0; i < a->n_all; i++) list_add(m, args, a->all[i]);
    value s = soft(m, v);
    if (a->named && !m->failed) args = (value){.type = T_DICT, .u.dict = a->named};
    return m->failed ? UNDEFINED : percent_format(m, s, args);
}

static value f_indent(vm *m, value v, call_args *a) {
    value s = soft(m, v), by = a->v[0];
    bool first = truth(a->v[1]), blank = truth(a->v[2]);
    text t = {.m = m};
    if (!is_string(by)) {
        text spaces = {.m = m};
        int64_t n = need_whole(m, by, 4, "indent");
        if (n > TEMPLATE_MAX_TEXT) return throw(m, "indent: a width of %lld is too large", (long long)n);
        for (int64_t i = 0; i < n && !m->failed; i++) text_add(&spaces, " ", 1, true);
        by = text_value(&spaces);
    }
    if (m->failed) return UNDEFINED;
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    if (v.type != T_STRING) return throw(m, "indent takes a string, not a %s", type_name(v));
    text whole_text = {.m = m}; /* the newline at the end keeps an empty last line */
    text_add_value(&whole_text, s);
    text_add(&whole_text, "\n", 1, true);
    value all = text_value(&whole_text), lines = is_string(all) ? split_lines(m, all, false) : UNDEFINED;
    for (size_t i = 0; !m->failed && i < lines.u.list->n; i++) {
        value line = lines.u.list->items[i];
        if (i > 0) text_add(&t, "\n", 1, true);
        if (i == 0 ? first : blank || line.u.s->n > 0) text_add_value(&t, by);
        text_add_value(&t, line);
    }
    value out = text_value(&t);
    if (is_string(out)) out.u.s->markup = s.u.s->markup;
    return out;
}

static value f_wordcount(vm *m, value v, call_args *a) {
    (void)a;
    value s = soft(m, v);
    int64_t n = 0;
    bool inside = false;
    for (size_t at = 0; is_string(s) && at < s.u.s->n;) {
        utf8_char c = utf8_decode(s.u.s->p + at, s.u.s->p + s.u.s->n);
        bool word = c.cp == '_' || (unicode_set(c.cp) & (UNI_L | UNI_N));
        n += word && !inside;
        inside = word;
        at += c.n;
    }
    return int_value(n);
}

static value f_center(vm *m, value v, call_args *a) {
    bool unsafe;
    value s = soft(m, v), width = given(a->v[0]) ? a->v[0] : int_value(80);
    return call_builtin(m, find_method(s, STR("center"), &unsafe), s, &width, 1, NULL);
}

static value f_truncate(vm *m, value v, call_args *a) {
    int64_t length = need_whole(m, a->v[0], 255, "truncate"), leeway = need_whole(m, a->v[3], 5, "truncate");
    value end = is_string(a->v[2]) ? a->v[2] : own_string(m, STR("..."));
    if (m->failed) return UNDEFINED;
    int64_t tail = (int64_t)string_chars(end.u.s);
    if (length < tail || leeway < 0) return throw(m, "truncate: the length is too small");
    if (v.type == T_UNDEFINED) return v; /* its length is 0 */
    if (v.type == T_ITERATOR || count_items(v) == SIZE_MAX) return throw(m, "a %s has no length", type_name(v));
    int64_t n = (int64_t)count_items(v);
    if (n <= length || n - length <= leeway) return v;
    if (!is_string(v)) return throw(m, "truncate takes a string, not a %s", type_name(v));
    value head = substring(m, v.u.s, 0, char_to_byte(v.u.s, (size_t)(length - tail)));
    if (!truth(a->v[1]) && is_string(head)) {
        value parts = split_string(m, head, own_string(m, STR(" ")), 1, true);
        if (!m->failed) head = parts.u.list->items[0];
    }
    return binary(m, OP_ADD, head, end);
}

static value f_striptags(vm *m, value v, call_args *a) {
    (void)a;
    value s = plain(m, v);
    text t = {.m = m};
    for (size_t at = 0; is_string(s) && at < s.u.s->n && !m->failed;) {
        const char *close = s.u.s->p[at] == '<' ? memchr(s.u.s->p + at, '>', s.u.s->n - at) : NULL;
        if (!close) text_add_string(&t, s.u.s, at, at + 1);
        at = close ? (size_t)(close + 1 - s.u.s->p) : at + 1;
    }
    value bare = text_value(&t), words = is_string(bare) ? split_string(m, bare, ABSENT, -1, false) : UNDEFINED;
    return m->failed ? UNDEFINED : join(m, own_string(m, STR(" ")), words);
}

static value f_tojson(vm *m, value v, call_args *a) { return to_json(m, v, a->v[0], a->v[1], a->v[2], a->v[3]); }

/* No filter of jinja2's, but templates written for other engines have it: json.loads. */
static value f_from_json(vm *m, value v, call_args *a) {
    (void)a;
    value s = soft(m, v);
    return m->failed ? UNDEFINED : parse_json(m, view(s), NULL);
}

static value f_pprint(vm *m, value v, call_args *a) {
    (void)a;
    text t = {.m = m};
    repr(&t, v, 0);
    return text_value(&t);
}

/* ---- numbers ---------------------------------------------------------------------------------- */

static value from_real(vm *m, double f, value other) {
    if (!isfinite(f)) return other;
    if (!(f > -9.3e18 && f < 9.22e18)) return throw(m, "int: a number that does not fit 64 bits");
    return int_value((int64_t)f);
}

static value f_int(vm *m, value v, call_args *a) {
    value other = given(a->v[0]) ? a->v[0] : int_value(0), out = other;
    bool ok = false;
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    if (is_whole(v)) {
        out = int_value(whole(v));
    } else if (v.type == T_FLOAT) {
        out = from_real(m, v.u.f, other);
    } else if (is_string(v)) {
        int64_t i = parse_whole(view(v), (int)need_whole(m, a->v[1], 10, "int"), &ok);
        out = int_value(i);
        if (!ok) {
            double f = parse_real(view(v), &ok);
            out = ok ? from_real(m, f, other) : other;
        }
    }
    out.from_input = v.from_input || (is_string(v) && v.u.s->n && !owned(v.u.s, 0));
    return out;
}

static value f_float(vm *m, value v, call_args *a) {
    value other = given(a->v[0]) ? a->v[0] : float_value(0), out = other;
    bool ok = false;
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    if (is_number(v)) {
        out = float_value(real(v));
    } else if (is_string(v)) {
        double f = parse_real(view(v), &ok);
        out = ok ? float_value(f) : other;
    }
    out.from_input = v.from_input || (is_string(v) && v.u.s->n && !owned(v.u.s, 0));
    return out;
}

static value f_abs(vm *m, value v, call_args *a) {
    (void)a;
    if (v.type == T_FLOAT) v.u.f = fabs(v.u.f);
    if (is_whole(v)) return whole(v) < 0 ? negate(m, v) : v.type == T_BOOL ? int_value(v.u.b) : v;
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    return v.type == T_FLOAT ? v : throw(m, "abs takes a number, not a %s", type_name(v));
}

/* Python rounds the decimal text of the exact number, ties to even; so does printf. */
static double round_decimal(double f, int64_t digits) {
    char out[400];
    if (!isfinite(f) || digits > 300) return f;
    if (digits >= 0) {
        bool ok;
        int n = snprintf(out, sizeof out, "%.*f", (int)digits, f);
        double rounded = n > 0 && n < 120 ? parse_real((str){out, (size_t)n}, &ok) : f;
        return rounded;
    }
    double scale = pow(10, (double)-digits);
    return digits < -300 ? 0 : nearbyint(f / scale) * scale;
}

static value f_round(vm *m, value v, call_args *a) {
    int64_t digits = need_whole(m, a->v[0], 0, "round");
    str method = is_string(a->v[1]) ? view(a->v[1]) : STR("common");
    if (!is_number(v))
        return v.type == T_UNDEFINED ? throw_undefined(m, v) : throw(m, "round takes a number, not a %s", type_name(v));
    if (str_is(method, "common"))
        return is_whole(v) && digits >= 0 ? int_value(whole(v))
               : is_whole(v)              ? int_value((int64_t)round_decimal((double)whole(v), digits))
                                          : float_value(round_decimal(v.u.f, digits));
    double scale = pow(10, (double)digits), f = real(v) * scale;
    if (str_is(method, "ceil")) return float_value(ceil(f) / scale);
    if (str_is(method, "floor")) return float_value(floor(f) / scale);
    return throw(m, "round: the method is common, ceil or floor");
}

/* ---- sequences -------------------------------------------------------------------------------- */

static value f_length(vm *m, value v, call_args *a) {
    (void)a;
    size_t n = v.type == T_ITERATOR ? SIZE_MAX : count_items(v);
    if (n == SIZE_MAX) return throw(m, "a %s has no length", type_name(v));
    spend(m, v.type == T_STRING ? n : 0);
    return int_value((int64_t)n);
}

static value f_list(vm *m, value v, call_args *a) { return (void)a, to_list(m, v); }

static value f_first(vm *m, value v, call_args *a) {
    (void)a;
    size_t n = count_items(v);
    if (n == SIZE_MAX) return throw(m, "first: a %s cannot be gone through", type_name(v));
    if (n == 0) return empty_undefined(m, STR("there is no first item in what is empty"));
    value item = item_at(m, v, 0);
    if (v.type == T_ITERATOR) v.u.list->at++;
    return item;
}

static value f_last(vm *m, value v, call_args *a) {
    (void)a;
    size_t n = v.type == T_ITERATOR ? SIZE_MAX : count_items(v);
    if (n == SIZE_MAX) return throw(m, "last: a %s has no end to begin at", type_name(v));
    return n ? item_at(m, v, n - 1) : empty_undefined(m, STR("there is no last item in what is empty"));
}

static value f_reverse(vm *m, value v, call_args *a) {
    (void)a;
    if (is_string(v)) return slice(m, v, ABSENT, ABSENT, int_value(-1));
    /* what can be gone through only once has become a list by then */
    value items = to_list(m, v), out = new_list(m, v.type == T_ITERATOR ? T_LIST : T_ITERATOR, 0);
    for (size_t i = m->failed ? 0 : items.u.list->n; i-- > 0;) list_add(m, out, items.u.list->items[i]);
    return out;
}

static value f_default(vm *m, value v, call_args *a) {
    bool missing = v.type == T_UNDEFINED || (truth(a->v[1]) && !truth(v));
    return !missing ? v : given(a->v[0]) ? a->v[0] : own_string(m, STR(""));
}

static value f_join(vm *m, value v, call_args *a) {
    value items = to_list(m, v), separator = given(a->v[0]) ? plain(m, a->v[0]) : own_string(m, STR(""));
    if (is_set(a->v[1])) {
        for (size_t i = 0; !m->failed && i < items.u.list->n; i++)
            items.u.list->items[i] = get_path(m, items.u.list->items[i], a->v[1]);
    }
    return m->failed ? UNDEFINED : join(m, separator, items);
}

static value f_items(vm *m, value v, call_args *a) {
    (void)a;
    if (v.type == T_UNDEFINED) return new_list(m, T_ITERATOR, 0);
    return v.type == T_DICT ? dict_view(m, v.u.dict, T_ITEMS) : throw(m, "items takes a dict, not a %s", type_name(v));
}

static value f_attr(vm *m, value v, call_args *a) {
    value name = a->v[0];
    if (!is_string(name)) return throw(m, "attr takes the name of an attribute, not a %s", type_name(name));
    if (m->failed || v.type == T_UNDEFINED) return v.type == T_UNDEFINED ? throw_undefined(m, v) : UNDEFINED;
    if (v.type == T_DICT) { /* attributes alone, no items */
        bool unsafe;
        if (!find_method(v, view(name), &unsafe) && !unsafe)
            return empty_undefined(m, STR("a dict has no such attribute"));
        return get_attribute(m, v, view(name));
    }
    return get_attribute(m, v, view(name));
}

static value f_sum(vm *m, value v, call_args *a) {
    value items = to_list(m, v), out = given(a->v[1]) ? a->v[1] : int_value(0);
    for (size_t i = 0; !m->failed && i < items.u.list->n && spend(m, 0); i++) {
        value item = items.u.list->items[i];
        if (is_string(out)) return throw(m, "sum does not add strings: use join");
        out = binary(m, OP_ADD, out, is_set(a->v[0]) ? get_path(m, item, a->v[0]) : item);
    }
    return out;
}

static value f_batch(vm *m, value v, call_args *a) {
    int64_t n = need_whole(m, a->v[0], 1, "batch");
    value items = to_list(m, v), out = new_list(m, T_ITERATOR, 0), row = ABSENT;
    for (size_t i = 0; !m->failed && i < items.u.list->n && spend(m, 0); i++) {
        if (!given(row) || (int64_t)row.u.list->n == n) list_add(m, out, row = new_list(m, T_LIST, 0));
        list_add(m, row, items.u.list->items[i]);
    }
    while (!m->failed && given(row) && is_set(a->v[1]) && (int64_t)row.u.list->n < n && spend(m, 0))
        list_add(m, row, a->v[1]);
    return out;
}

static value f_slice(vm *m, value v, call_args *a) {
    int64_t n = need_whole(m, a->v[0], 1, "slice");
    value items = to_list(m, v), out = new_list(m, T_ITERATOR, 0);
    if (n <= 0) return throw(m, "slice takes a number above 0");
    size_t at = 0, count = m->failed ? 0 : items.u.list->n;
    for (int64_t i = 0; i < n && spend(m, 0); i++) {
        bool extra = i < (int64_t)count % n;
        value row = new_list(m, T_LIST, 0);
        for (size_t k = count / (size_t)n + extra; k > 0; k--) list_add(m, row, items.u.list->items[at++]);
        if (is_set(a->v[1]) && !extra) list_add(m, row, a->v[1]);
        list_add(m, out, row);
    }
    return out;
}

/* ---- order ------------------------------------------------------------------------------------ */

static value fold_case(vm *m, value v, value case_sensitive) {
    return is_string(v) && !truth(case_sensitive) ? change_case(m, v, CASE_LOWER) : v;
}

/* What items are sorted by: themselves, or attributes "a,b" as a list. */
static value sort_key(vm *m, value item, value attribute, value case_sensitive) {
    if (!is_set(attribute)) return fold_case(m, item, case_sensitive);
    value paths =
        is_string(attribute) ? split_string(m, attribute, own_string(m, STR(",")), -1, false) : new_list(m, T_LIST, 1);
    if (!is_string(attribute)) list_add(m, paths, attribute);
    value key = new_list(m, T_LIST, 1);
    for (size_t i = 0; !m->failed && i < paths.u.list->n; i++)
        list_add(m, key, fold_case(m, get_path(m, item, paths.u.list->items[i]), case_sensitive));
    return key;
}

/* Sorts places 0..n by keys; equal ones stay in their order, also when it goes down. */
static size_t *sort_places(vm *m, const value *keys, size_t n, bool down) {
    size_t *places = vm_alloc(m, 2 * n + 1, sizeof *places), *from = places, *to = places ? places + n : NULL;
    if (!places) return NULL;
    for (size_t i = 0; i < n; i++) places[i] = i;
    for (size_t width = 1; width < n && !m->failed; width *= 2) {
        for (size_t at = 0; at < n && spend(m, 0); at += 2 * width) {
            size_t i = at, mid = at + width < n ? at + width : n, j = mid, end = mid + width < n ? mid + width : n;
            for (size_t k = at; k < end; k++) {
                bool right = i == mid;
                if (!right && j < end)
                    right = down ? compare(m, keys[from[i]], keys[from[j]]) == -1
                                 : compare(m, keys[from[j]], keys[from[i]]) == -1;
                to[k] = right ? from[j++] : from[i++];
                spend(m, 256);
            }
        }
        size_t *swap = from;
        from = to;
        to = swap;
    }
    return m->failed ? NULL : from;
}

static value sorted(vm *m, value items, value keys, bool down) {
    value out = new_list(m, T_LIST, items.u.list->n);
    size_t n = items.u.list->n, *places = m->failed ? NULL : sort_places(m, keys.u.list->items, n, down);
    for (size_t i = 0; places && i < n; i++) list_add(m, out, items.u.list->items[places[i]]);
    return out;
}

static value keys_of(vm *m, value items, value attribute, value case_sensitive) {
    value keys = new_list(m, T_LIST, 0);
    for (size_t i = 0; !m->failed && i < items.u.list->n && spend(m, 0); i++)
        list_add(m, keys, sort_key(m, items.u.list->items[i], attribute, case_sensitive));
    return keys;
}

static value f_sort(vm *m, value v, call_args *a) {
    value items = to_list(m, v), keys = m->failed ? UNDEFINED : keys_of(m, items, a->v[2], a->v[1]);
    return m->failed ? UNDEFINED : sorted(m, items, keys, truth(a->v[0]));
}

static value f_dictsort(vm *m, value v, call_args *a) {
    if (v.type != T_DICT)
        return v.type == T_UNDEFINED ? throw_undefined(m, v)
                                     : throw(m, "dictsort takes a dict, not a %s", type_name(v));
    value items = dict_view(m, v.u.dict, T_ITEMS), keys = new_list(m, T_LIST, 0);
    bool by_value = is_string(a->v[1]) && str_is(view(a->v[1]), "value");
    if (is_string(a->v[1]) && !by_value && !str_is(view(a->v[1]), "key"))
        return throw(m, "dictsort sorts by key or by value");
    for (size_t i = 0; !m->failed && i < items.u.list->n; i++)
        list_add(m, keys, fold_case(m, items.u.list->items[i].u.list->items[by_value], a->v[0]));
    return m->failed ? UNDEFINED : sorted(m, items, keys, truth(a->v[2]));
}

static value extreme(vm *m, value v, call_args *a, int wanted) {
    value items = to_list(m, v), best = ABSENT, best_key = ABSENT;
    for (size_t i = 0; !m->failed && i < items.u.list->n && spend(m, 0); i++) {
        value item = items.u.list->items[i], path = a->v[1];
        value key = fold_case(m, is_set(path) ? get_path(m, item, path) : item, a->v[0]);
        if (given(best) && compare(m, key, best_key) != wanted) continue;
        best = item;
        best_key = key;
    }
    return given(best) ? best : empty_undefined(m, STR("there is no least or greatest of what is empty"));
}
static value f_min(vm *m, value v, call_args *a) { return extreme(m, v, a, -1); }
static value f_max(vm *m, value v, call_args *a) { return extreme(m, v, a, 1); }

static value f_unique(vm *m, value v, call_args *a) {
    value items = to_list(m, v), out = new_list(m, T_ITERATOR, 0), seen = new_dict(m);
    for (size_t i = 0; !m->failed && i < items.u.list->n && spend(m, 0); i++) {
        value item = items.u.list->items[i];
        value key = fold_case(m, is_set(a->v[1]) ? get_path(m, item, a->v[1]) : item, a->v[0]);
        size_t before = seen.u.dict->n;
        dict_set(m, seen.u.dict, key, NONE);
        if (seen.u.dict->n > before) list_add(m, out, item);
    }
    return out;
}

/* Tuples (what they share, [items]), sorted by it. */
static value f_groupby(vm *m, value v, call_args *a) {
    value items = to_list(m, v), keys = new_list(m, T_LIST, 0), out = new_list(m, T_LIST, 0);
    for (size_t i = 0; !m->failed && i < items.u.list->n && spend(m, 0); i++) {
        list_add(m, keys, get_path_or(m, items.u.list->items[i], a->v[0], a->v[1]));
    }
    value folded = new_list(m, T_LIST, 0);
    for (size_t i = 0; !m->failed && i < keys.u.list->n; i++)
        list_add(m, folded, fold_case(m, keys.u.list->items[i], a->v[2]));
    size_t n = m->failed ? 0 : items.u.list->n, *places = n ? sort_places(m, folded.u.list->items, n, false) : NULL;
    for (size_t i = 0; places && i < n && !m->failed; i++) {
        bool same = i > 0 && equal(m, folded.u.list->items[places[i - 1]], folded.u.list->items[places[i]]);
        if (!same) {
            value group = new_list(m, T_TUPLE, 2);
            if (is_list(group)) group.u.list->is_group = true;
            list_add(m, group, keys.u.list->items[places[i]]);
            list_add(m, group, new_list(m, T_LIST, 0));
            list_add(m, out, group);
        }
        if (m->failed) break;
        list_add(m, out.u.list->items[out.u.list->n - 1].u.list->items[1], items.u.list->items[places[i]]);
    }
    return out;
}

/* ---- map, select ------------------------------------------------------------------------------ */

static value f_map(vm *m, value v, call_args *a) {
    value out = new_list(m, T_ITERATOR, 0);
    if (!truth(v)) return out;
    value items = to_list(m, v);
    const value *attribute = a->named ? dict_find_str(m, a->named, STR("attribute")) : NULL;
    const value *other = a->named ? dict_find_str(m, a->named, STR("default")) : NULL;
    const builtin *filter = NULL;
    if (a->n_all > 0 || !attribute) {
        if (a->n_all == 0 || !is_string(a->all[0])) return throw(m, "map takes the name of a filter, or attribute=");
        filter = find_filter(view(a->all[0]));
        if (!filter) return throw(m, "there is no filter named '%.*s'", STR_ARG(view(a->all[0])));
    }
    for (size_t i = 0; !m->failed && i < items.u.list->n && spend(m, 0); i++) {
        value item = items.u.list->items[i];
        list_add(m, out,
                 filter ? call_builtin(m, filter, item, a->all + 1, a->n_all - 1, a->named)
                        : get_path_or(m, item, *attribute, other ? *other : ABSENT));
    }
    return out;
}

static value choose(vm *m, value v, call_args *a, bool by_attribute, bool keep) {
    value out = new_list(m, T_ITERATOR, 0);
    if (!truth(v)) return out;
    value items = to_list(m, v);
    const builtin *test = NULL;
    size_t off = by_attribute;
    if (a->n_all < off) return throw(m, "selectattr and rejectattr take the name of an attribute");
    if (a->n_all > off) {
        if (is_string(a->all[off])) test = find_test(view(a->all[off]));
        if (!test) return throw(m, "there is no such test to select by");
    }
    for (size_t i = 0; !m->failed && i < items.u.list->n && spend(m, 0); i++) {
        value item = items.u.list->items[i], tested = by_attribute ? get_path(m, item, a->all[0]) : item;
        bool passes =
            truth(test ? call_builtin(m, test, tested, a->all + off + 1, a->n_all - off - 1, a->named) : tested);
        if (passes == keep) list_add(m, out, item);
    }
    return out;
}

static value f_select(vm *m, value v, call_args *a) { return choose(m, v, a, false, true); }
static value f_reject(vm *m, value v, call_args *a) { return choose(m, v, a, false, false); }
static value f_selectattr(vm *m, value v, call_args *a) { return choose(m, v, a, true, true); }
static value f_rejectattr(vm *m, value v, call_args *a) { return choose(m, v, a, true, false); }

/* THE table of filters. */
static const builtin filters[] = {
    {"abs", "", f_abs},
    {"attr", "name", f_attr},
    {"batch", "linecount / fill_with", f_batch},
    {"capitalize", "", f_capitalize},
    {"center", "/ width", f_center},
    {"count", "", f_length},
    {"d", "/ default_value boolean", f_default},
    {"default", "/ default_value boolean", f_default},
    {"dictsort", "/ case_sensitive by reverse", f_dictsort},
    {"e", "", f_escape},
    {"escape", "", f_escape},
    {"filesizeformat", "/ binary", f_filesizeformat},
    {"first", "", f_first},
    {"float", "/ default", f_float},
    {"forceescape", "", f_forceescape},
    {"format", "*", f_format},
    {"from_json", "", f_from_json},
    {"groupby", "attribute / default case_sensitive", f_groupby},
    {"indent", "/ width first blank", f_indent},
    {"int", "/ default base", f_int},
    {"items", "", f_items},
    {"join", "/ d attribute", f_join},
    {"last", "", f_last},
    {"length", "", f_length},
    {"list", "", f_list},
    {"lower", "", f_lower},
    {"map", "*", f_map},
    {"max", "/ case_sensitive attribute", f_max},
    {"min", "/ case_sensitive attribute", f_min},
    {"pprint", "", f_pprint},
    {"reject", "*", f_reject},
    {"rejectattr", "*", f_rejectattr},
    {"replace", "old new / count", f_replace},
    {"reverse", "", f_reverse},
    {"round", "/ precision method", f_round},
    {"safe", "", f_safe},
    {"select", "*", f_select},
    {"selectattr", "*", f_selectattr},
    {"slice", "slices / fill_with", f_slice},
    {"sort", "/ reverse case_sensitive attribute", f_sort},
    {"string", "", f_string},
    {"striptags", "", f_striptags},
    {"sum", "/ attribute start", f_sum},
    {"title", "", f_title},
    {"tojson", "/ ensure_ascii indent separators sort_keys", f_tojson},
    {"trim", "/ chars", f_trim},
    {"truncate", "/ length killwords end leeway", f_truncate},
    {"unique", "/ case_sensitive attribute", f_unique},
    {"upper", "", f_upper},
    {"urlencode", "", f_urlencode},
    {"wordcount", "", f_wordcount},
    {"wordwrap", "/ width break_long_words wrapstring break_on_hyphens", f_wordwrap},
    {"xmlattr", "/ autospace", f_xmlattr},
};

const builtin *find_filter(str name) {
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        if (str_is(name, filters[i].name)) return &filters[i];
    }
    return NULL;
}
