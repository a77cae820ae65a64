/* Operators, items and attributes, with Python's rules. */
#include <math.h>

#include "base/check.h"
#include "text/template_internal.h"

/* ---- arithmetic ------------------------------------------------------------------------------- */

static value too_large(vm *m) { return throw(m, "a number does not fit 64 bits"); }

static value whole_power(vm *m, int64_t a, int64_t b) {
    int64_t out = 1;
    if (b < 0) return a == 0 ? throw(m, "division by zero") : float_value(pow((double)a, (double)b));
    for (; b > 0; b--) {
        if (a == 0 || a == 1 || (a == -1 && b % 2 == 0)) return int_value(a * a == 0 ? 0 : 1);
        if (__builtin_mul_overflow(out, a, &out)) return too_large(m);
    }
    return int_value(out);
}

static value whole_math(vm *m, binary_op op, int64_t a, int64_t b) {
    int64_t out = 0;
    switch (op) {
    case OP_ADD: return __builtin_add_overflow(a, b, &out) ? too_large(m) : int_value(out);
    case OP_SUB: return __builtin_sub_overflow(a, b, &out) ? too_large(m) : int_value(out);
    case OP_MUL: return __builtin_mul_overflow(a, b, &out) ? too_large(m) : int_value(out);
    case OP_POW: return whole_power(m, a, b);
    default: break;
    }
    if (b == 0) return throw(m, "division by zero");
    if (op == OP_DIV) return float_value((double)a / (double)b);
    if (b == -1) return op == OP_MOD ? int_value(0) : whole_math(m, OP_SUB, 0, a);
    int64_t quotient = a / b, rest = a % b; /* towards zero; Python's go down */
    bool down = rest != 0 && (rest < 0) != (b < 0);
    return int_value(op == OP_MOD ? rest + (down ? b : 0) : quotient - down);
}

static value real_math(vm *m, binary_op op, double a, double b) {
    if (b == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD)) return throw(m, "division by zero");
    double rest;
    switch (op) {
    case OP_ADD: return float_value(a + b);
    case OP_SUB: return float_value(a - b);
    case OP_MUL: return float_value(a * b);
    case OP_DIV: return float_value(a / b);
    case OP_POW: {
        double power = pow(a, b);
        if ((a == 0 && b < 0) || (isnan(power) && !isnan(a) && !isnan(b)))
            return throw(m, "a power that is no real number");
        return isinf(power) && !isinf(a) && !isinf(b) ? throw(m, "a number is too large") : float_value(power);
    }
    default:
        rest = fmod(a, b);
        if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
        if (op == OP_MOD) return float_value(rest == 0 ? copysign(0, b) : rest);
        return float_value(floor((a - rest) / b + 0.5));
    }
}

static value concat(vm *m, value a, value b) {
    if (a.u.s->markup || b.u.s->markup) {
        a = escape_html(m, a);
        b = escape_html(m, b);
        if (m->failed) return UNDEFINED;
    }
    if (a.u.s->n == 0 || b.u.s->n == 0) return a.u.s->n == 0 ? b : a;
    text t = {.m = m};
    text_add_string(&t, a.u.s, 0, a.u.s->n);
    text_add_string(&t, b.u.s, 0, b.u.s->n);
    value out = text_value(&t);
    if (is_string(out)) out.u.s->markup = a.u.s->markup;
    return out;
}

static value add_lists(vm *m, value a, value b) {
    value out = new_list(m, a.type, a.u.list->n + b.u.list->n);
    spend(m, (a.u.list->n + b.u.list->n) * sizeof(value));
    for (size_t i = 0; i < a.u.list->n; i++) list_add(m, out, a.u.list->items[i]);
    for (size_t i = 0; i < b.u.list->n; i++) list_add(m, out, b.u.list->items[i]);
    return out;
}

static value repeat(vm *m, value v, int64_t times) {
    uint64_t n = is_string(v) ? v.u.s->n : v.u.list->n, size = is_string(v) ? 1 : sizeof(value), total;
    if (times < 0) times = 0;
    if (!mul_u64(n * size, (uint64_t)times, &total) || total > TEMPLATE_MAX_TEXT)
        return throw(m, "repeated %lld times, it has more than %d MiB", (long long)times, TEMPLATE_MAX_TEXT >> 20);
    spend(m, (size_t)total);
    if (is_string(v)) {
        text t = {.m = m};
        for (int64_t i = 0; n && i < times && !m->failed; i++) text_add_string(&t, v.u.s, 0, v.u.s->n);
        value out = text_value(&t);
        if (is_string(out)) out.u.s->markup = v.u.s->markup;
        return out;
    }
    value out = new_list(m, v.type, (size_t)(n * (uint64_t)times));
    for (int64_t i = 0; n && i < times && !m->failed; i++) {
        for (size_t j = 0; j < n; j++) list_add(m, out, v.u.list->items[j]);
    }
    return out;
}

static bool repeatable(value v) { return is_string(v) || v.type == T_LIST || v.type == T_TUPLE; }

value binary(vm *m, binary_op op, value a, value b) {
    static const char *const signs[] = {"+", "-", "*", "/", "//", "%", "**"};
    if (m->failed) return UNDEFINED;
    if (is_number(a) && is_number(b)) {
        bool wholes = is_whole(a) && is_whole(b);
        value v = wholes ? whole_math(m, op, whole(a), whole(b)) : real_math(m, op, real(a), real(b));
        v.from_input = a.from_input || b.from_input;
        return v;
    }
    if (op == OP_ADD && is_string(a) && is_string(b)) return concat(m, a, b);
    if (op == OP_ADD && a.type == b.type && (a.type == T_LIST || a.type == T_TUPLE)) return add_lists(m, a, b);
    if (op == OP_MUL && repeatable(a) && is_whole(b)) return repeat(m, a, whole(b));
    if (op == OP_MUL && repeatable(b) && is_whole(a)) return repeat(m, b, whole(a));
    if (op == OP_MOD && is_string(a)) return percent_format(m, a, b);
    if (a.type == T_UNDEFINED || b.type == T_UNDEFINED) return throw_undefined(m, a.type == T_UNDEFINED ? a : b);
    return throw(m, "%s %s %s: these types have no such operation", type_name(a), signs[op], type_name(b));
}

value negate(vm *m, value v) {
    if (v.type == T_FLOAT) v.u.f = -v.u.f;
    if (v.type == T_FLOAT) return v;
    if (is_whole(v)) return binary(m, OP_SUB, int_value(0), v);
    return v.type == T_UNDEFINED ? throw_undefined(m, v) : throw(m, "-%s is not possible", type_name(v));
}

/* ---- items and attributes --------------------------------------------------------------------- */

static value missing(vm *m, value owner, str name, bool unsafe) {
    undefined_hint *h = vm_alloc(m, 1, sizeof *h);
    if (h) *h = (undefined_hint){name, (value_type)owner.type, unsafe};
    return (value){.type = T_UNDEFINED, .u.hint = h};
}

/* What Python has as attributes of the value: methods, a loop's or a namespace's fields. */
static bool own_attribute(vm *m, value v, str name, value *out) {
    bool unsafe = false, found = false;
    if (v.type == T_NAMESPACE) {
        const value *field = dict_find_str(m, v.u.dict, name);
        if (field) *out = *field;
        return field != NULL;
    }
    if (v.type == T_LOOP) {
        *out = loop_attribute(m, v.u.loop, name, &found);
        return found;
    }
    if (v.type == T_TUPLE && v.u.list->is_group && v.u.list->n == 2 &&
        (str_is(name, "grouper") || str_is(name, "list")))
        return *out = v.u.list->items[str_is(name, "list")], true;
    if (v.type == T_MACRO && str_is(name, "name")) return *out = own_string(m, v.u.macro->node->name), true;
    const builtin *row = find_method(v, name, &unsafe);
    if (unsafe) return *out = missing(m, v, name, true), true;
    if (!row) return false;
    method_value *method = vm_alloc(m, 1, sizeof *method);
    if (method) *method = (method_value){row, v};
    *out = method ? (value){.type = T_METHOD, .u.method = method} : UNDEFINED;
    return true;
}

/* Python's v[key]; false where it raises. */
static bool own_item(vm *m, value v, value key, value *out) {
    if (v.type == T_DICT) {
        if (key.type == T_LIST || key.type == T_DICT || key.type == T_NAMESPACE) return false;
        const value *found = dict_find(m, v.u.dict, key);
        if (found) *out = *found;
        return found != NULL;
    }
    bool indexed = is_string(v) || v.type == T_LIST || v.type == T_TUPLE || v.type == T_RANGE;
    if (!indexed || !is_whole(key)) return false;
    size_t n = count_items(v);
    int64_t i = whole(key);
    if (i < 0) i += (int64_t)n;
    if (i < 0 || (uint64_t)i >= n) return false;
    *out = item_at(m, v, (size_t)i);
    return true;
}

value get_item(vm *m, value v, value key) {
    value out = UNDEFINED;
    if (m->failed) return out;
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    if (own_item(m, v, key, &out)) return out;
    if (is_string(key) && own_attribute(m, v, view(key), &out)) return out;
    value name = to_string(m, key);
    return m->failed ? UNDEFINED : missing(m, v, view(name), false);
}

value get_attribute(vm *m, value v, str name) {
    value out = UNDEFINED;
    if (m->failed) return out;
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    if (own_attribute(m, v, name, &out)) return out;
    string s = {.p = name.p, .n = name.n, .chars = SIZE_MAX};
    if (own_item(m, v, (value){.type = T_STRING, .u.s = &s}, &out)) return out;
    return missing(m, v, name, false);
}

value get_path(vm *m, value v, value path) { return get_path_or(m, v, path, ABSENT); }

value get_path_or(vm *m, value v, value path, value other) {
    bool has_other = given(other) && other.type != T_NONE;
    if (!is_string(path)) {
        v = get_item(m, v, path);
        return has_other && v.type == T_UNDEFINED ? other : v;
    }
    str rest = view(path);
    while (!m->failed) {
        size_t n = 0;
        bool digits = true;
        for (; n < rest.n && rest.p[n] != '.'; n++) digits = digits && rest.p[n] >= '0' && rest.p[n] <= '9';
        bool ok = false;
        int64_t i = digits && n ? parse_whole((str){rest.p, n}, 10, &ok) : 0;
        v = get_item(m, v, ok ? int_value(i) : own_string(m, (str){rest.p, n}));
        if (has_other && v.type == T_UNDEFINED) v = other;
        if (n == rest.n) break;
        rest = (str){rest.p + n + 1, rest.n - n - 1};
    }
    return v;
}

/* ---- slices ----------------------------------------------------------------------------------- */

/* A bound as Python clips it: into 0..n, or -1..n-1 where the step goes down. */
static int64_t clip(vm *m, value v, int64_t n, bool down, int64_t none) {
    if (v.type == T_NONE || !given(v)) return none;
    if (!is_whole(v))
        return v.type == T_UNDEFINED ? (throw_undefined(m, v), 0) : (throw(m, "a slice needs whole numbers"), 0);
    int64_t i = whole(v), least = down ? -1 : 0, most = down ? n - 1 : n;
    if (i < 0) i = i < -n ? least : i + n;
    return i < least ? least : i > most ? most : i;
}

/* Ends may lie beyond 64 bits where numbers do not: they wrap around, and n says how many there are. */
static int64_t range_at(range r, int64_t i) { return (int64_t)((uint64_t)r.start + (uint64_t)i * (uint64_t)r.step); }

static value slice_range(vm *m, range r, int64_t from, int64_t to, int64_t by) {
    uint64_t step = by > 0 ? (uint64_t)by : 0 - (uint64_t)by, span = (uint64_t)(by > 0 ? to - from : from - to);
    bool any = by > 0 ? to > from : from > to;
    range *out = vm_alloc(m, 1, sizeof *out);
    if (!out) return UNDEFINED;
    *out = (range){range_at(r, from), range_at(r, to), (int64_t)((uint64_t)by * (uint64_t)r.step),
                   any ? (size_t)((span - 1) / step + 1) : 0};
    return (value){.type = T_RANGE, .u.range = out};
}

value slice(vm *m, value v, value start, value stop, value step) {
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    bool sliced = is_string(v) || v.type == T_LIST || v.type == T_TUPLE || v.type == T_RANGE;
    if (!sliced) return throw(m, "a %s cannot be sliced", type_name(v));
    int64_t n = (int64_t)count_items(v), by = 1;
    if (given(step) && step.type != T_NONE) {
        if (!is_whole(step) || whole(step) == 0) return throw(m, "a slice's step is a whole number other than 0");
        by = whole(step);
    }
    int64_t from = clip(m, start, n, by < 0, by < 0 ? n - 1 : 0), to = clip(m, stop, n, by < 0, by < 0 ? -1 : n);
    if (m->failed) return UNDEFINED;
    if (is_string(v) && by == 1) {
        if (to < from) to = from;
        if (v.u.s->chars != v.u.s->n) spend(m, v.u.s->n); /* it is walked through */
        return substring(m, v.u.s, char_to_byte(v.u.s, (size_t)from), char_to_byte(v.u.s, (size_t)to));
    }
    if (v.type == T_RANGE) return slice_range(m, *v.u.range, from, to, by);
    bool is_text = is_string(v);
    if (is_text) v = to_list(m, v);
    value out = new_list(m, (value_type)v.type, 0);
    for (int64_t i = from; by > 0 ? i < to : i > to;) {
        if (!spend(m, sizeof(value))) break;
        list_add(m, out, item_at(m, v, (size_t)i));
        if (__builtin_add_overflow(i, by, &i)) break;
    }
    return is_text ? join(m, own_string(m, STR("")), out) : out;
}
