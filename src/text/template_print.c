/* How Python prints values: str(), repr(), and the two ways to format. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "text/template_internal.h"
#include "text/unicode.h"

/* ---- numbers ---------------------------------------------------------------------------------- */

/* The fewest digits that read back as f, with an exponent below 1e-4 and from 1e16 on. */
void print_float(text *t, double f, bool own) {
    if (isnan(f) || isinf(f)) {
        text_printf(t, own, "%s", isnan(f) ? "nan" : f > 0 ? "inf" : "-inf");
        return;
    }
    char digits[40];
    int precision = 1;
    do snprintf(digits, sizeof digits, "%.*e", precision - 1, f);
    while (strtod(digits, NULL) != f && precision++ < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        *strchr(digits, 'e') = 0;
        text_printf(t, own, "%se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent));
    } else {
        int decimals = precision - 1 - exponent;
        text_printf(t, own, "%.*f", decimals > 0 ? decimals : 1, f);
    }
}

/* ---- repr ------------------------------------------------------------------------------------- */

static bool printable(uint32_t cp) {
    return cp == ' ' || !(unicode_set(cp) & (UNI_Cc | UNI_Cf | UNI_Cs | UNI_Co | UNI_Cn | UNI_Zl | UNI_Zp | UNI_Zs));
}

static void repr_string(text *t, const string *s) {
    char quote = memchr(s->p, '\'', s->n) && !memchr(s->p, '"', s->n) ? '"' : '\'';
    text_add(t, &quote, 1, true);
    for (size_t at = 0; at < s->n && !t->m->failed;) {
        utf8_char c = utf8_decode(s->p + at, s->p + s->n);
        bool own = owned(s, at);
        static const char special[] = "\n\r\t\\", letters[] = "nrt\\";
        const char *known = c.cp && c.cp < 0x80 ? strchr(special, (int)c.cp) : NULL;
        if (known || c.cp == (uint8_t)quote) {
            text_printf(t, own, "\\%c", known ? letters[known - special] : quote);
        } else if (c.cp == UNICODE_INVALID) { /* how Python keeps such a byte */
            text_printf(t, own, "\\udc%02x", (uint8_t)s->p[at]);
        } else if (!printable(c.cp)) {
            text_printf(t, own, c.cp < 0x100 ? "\\x%02x" : c.cp < 0x10000 ? "\\u%04x" : "\\U%08x", c.cp);
        } else {
            text_add_string(t, s, at, at + c.n);
        }
        at += c.n;
    }
    text_add(t, &quote, 1, true);
}

static void repr_entry(text *t, entry e, int depth) {
    repr(t, e.key, depth);
    text_add(t, ": ", 2, true);
    repr(t, e.value, depth);
}

static void repr_items(text *t, value v, int depth, const char *open, const char *close) {
    size_t n = v.type == T_DICT ? v.u.dict->n : v.u.list->n;
    text_add(t, open, strlen(open), true);
    for (size_t i = 0; i < n && spend(t->m, 0); i++) {
        if (i > 0) text_add(t, ", ", 2, true);
        if (v.type == T_DICT)
            repr_entry(t, v.u.dict->entries[i], depth);
        else
            repr(t, v.u.list->items[i], depth);
    }
    text_add(t, close, strlen(close), true);
}

void repr(text *t, value v, int depth) {
    bool own = !v.from_input;
    if (depth > 2 * TEMPLATE_MAX_DEPTH) {
        throw(t->m, "a value is nested too deeply to be printed");
        return;
    }
    switch (v.type) {
    case T_NONE: text_add(t, "None", 4, own); break;
    case T_BOOL: text_printf(t, own, "%s", v.u.b ? "True" : "False"); break;
    case T_INT: text_printf(t, own, "%lld", (long long)v.u.i); break;
    case T_FLOAT: print_float(t, v.u.f, own); break;
    case T_STRING:
        if (v.u.s->markup) text_add(t, "Markup(", 7, true);
        repr_string(t, v.u.s);
        if (v.u.s->markup) text_add(t, ")", 1, true);
        break;
    case T_LIST: repr_items(t, v, depth + 1, "[", "]"); break;
    case T_TUPLE: repr_items(t, v, depth + 1, "(", v.u.list->n == 1 ? ",)" : ")"); break;
    case T_DICT: repr_items(t, v, depth + 1, "{", "}"); break;
    case T_KEYS: repr_items(t, v, depth + 1, "dict_keys([", "])"); break;
    case T_VALUES: repr_items(t, v, depth + 1, "dict_values([", "])"); break;
    case T_ITEMS: repr_items(t, v, depth + 1, "dict_items([", "])"); break;
    case T_RANGE:
        text_printf(t, own, v.u.range->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)",
                    (long long)v.u.range->start, (long long)v.u.range->stop, (long long)v.u.range->step);
        break;
    case T_NAMESPACE:
        text_add(t, "<Namespace ", 11, true);
        repr_items(t, (value){.type = T_DICT, .u.dict = v.u.dict}, depth + 1, "{", "}>");
        break;
    case T_MACRO: text_printf(t, own, "<Macro '%.*s'>", STR_ARG(v.u.macro->node->name)); break;
    case T_UNDEFINED: text_add(t, "Undefined", 9, true); break;
    default: text_printf(t, own, "<%s>", type_name(v));
    }
}

void text_add_value(text *t, value v) {
    if (is_string(v)) {
        text_add_string(t, v.u.s, 0, v.u.s->n);
    } else if (v.type != T_UNDEFINED && v.type != T_ABSENT) {
        repr(t, v, 0);
    }
}

value to_string(vm *m, value v) {
    if (is_string(v)) return v;
    text t = {.m = m};
    text_add_value(&t, v);
    v = text_value(&t);
    return is_string(v) ? v : (m->failed = true, own_string(m, STR("")));
}

/* ---- a field's layout: [[fill]align][sign][#][0][width][,][.precision][type] -------------------- */

typedef struct {
    char fill[4];
    size_t n_fill;
    char align; /* < > ^ = or 0 */
    char sign;  /* + - space */
    bool alternative, comma;
    int64_t width, precision; /* -1: none */
    char type;                /* or 0 */
} layout;

static int64_t read_number(const char **p, const char *end) {
    int64_t n = -1;
    while (*p < end && **p >= '0' && **p <= '9') n = (n < 0 ? 0 : n > 1 << 24 ? n : n * 10) + (*(*p)++ - '0');
    return n;
}

/* The text of a number's absolute value. */
static void number_digits(text *t, value v, const layout *l) {
    bool own = !v.from_input;
    char type = l->type;
    if (is_whole(v) && (!type || strchr("dixXoc", type))) {
        int64_t i = whole(v);
        uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
        char digits[80];
        int n = snprintf(digits, sizeof digits,
                         type == 'x'   ? "%llx"
                         : type == 'X' ? "%llX"
                         : type == 'o' ? "%llo"
                                       : "%llu",
                         (unsigned long long)u);
        if (l->alternative && type && strchr("xXo", type)) text_printf(t, own, "0%c", type);
        for (int i_digit = 0; i_digit < n; i_digit++) {
            if (l->comma && i_digit > 0 && (n - i_digit) % 3 == 0) text_add(t, ",", 1, own);
            text_add(t, digits + i_digit, 1, own);
        }
        return;
    }
    double f = fabs(real(v));
    if (!type && l->precision < 0) {
        print_float(t, f, own);
        return;
    }
    int precision = l->precision < 0 ? 6 : l->precision > 300 ? 300 : (int)l->precision;
    char number[700];
    bool percent = type == '%';
    if (percent) f *= 100;
    int n = snprintf(number, sizeof number,
                     type == 'e'            ? "%.*e"
                     : type == 'E'          ? "%.*E"
                     : type == 'g' || !type ? "%.*g"
                     : type == 'G'          ? "%.*G"
                                            : "%.*f",
                     precision, f);
    int dot = (int)strcspn(number, ".e");
    for (int i = 0; i < n; i++) {
        if (l->comma && i > 0 && i < dot && (dot - i) % 3 == 0) text_add(t, ",", 1, own);
        text_add(t, number + i, 1, own);
    }
    if (percent) text_add(t, "%", 1, own);
}

static void pad(text *t, const layout *l, int64_t n) {
    if (n > TEMPLATE_MAX_TEXT) throw(t->m, "a width of %lld is too large", (long long)n);
    for (; n > 0 && !t->m->failed; n--) text_add(t, l->fill, l->n_fill, true);
}

/* body after its sign, brought to the width. */
static void lay_out(text *t, const layout *l, str sign, value body, char default_align) {
    if (!is_string(body)) return;
    int64_t missing = l->width - (int64_t)sign.n - (int64_t)string_chars(body.u.s);
    char align = l->align ? l->align : default_align;
    int64_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
    if (missing < 0) missing = left = 0;
    pad(t, l, left);
    text_add(t, sign.p, sign.n, true);
    if (align == '=') pad(t, l, missing);
    text_add_string(t, body.u.s, 0, body.u.s->n);
    if (align != '=') pad(t, l, missing - left);
}

static void format_number(text *t, value v, const layout *l) {
    text body = {.m = t->m};
    bool negative = v.type == T_FLOAT ? signbit(v.u.f) != 0 : whole(v) < 0;
    number_digits(&body, v, l);
    str sign = negative ? STR("-") : l->sign == '+' ? STR("+") : l->sign == ' ' ? STR(" ") : STR("");
    lay_out(t, l, sign, text_value(&body), '>');
}

static void format_string(text *t, value v, const layout *l, char default_align) {
    value s = to_string(t->m, v);
    if (l->precision >= 0 && is_string(s)) s = substring(t->m, s.u.s, 0, char_to_byte(s.u.s, (size_t)l->precision));
    lay_out(t, l, STR(""), s, default_align);
}

/* ---- "%s" % args ------------------------------------------------------------------------------ */

typedef struct {
    value args;
    size_t next;
} percent_args;

static value next_arg(vm *m, percent_args *a) {
    bool tuple = a->args.type == T_TUPLE;
    size_t n = tuple ? a->args.u.list->n : 1;
    if (a->next >= n) return throw(m, "there are not enough values for the format string");
    return tuple ? a->args.u.list->items[a->next++] : (a->next++, a->args);
}

static const char *percent_field(text *t, const char *p, const char *end, percent_args *a) {
    vm *m = t->m;
    layout l = {.fill = " ", .n_fill = 1, .precision = -1};
    value v = ABSENT;
    if (p < end && *p == '(') {
        const char *close = memchr(p, ')', (size_t)(end - p));
        if (!close || a->args.type != T_DICT) return throw(m, "%%(name) in a format string needs a dict"), end;
        const value *found = dict_find_str(m, a->args.u.dict, (str){p + 1, (size_t)(close - p - 1)});
        if (!found) return throw(m, "the dict has no '%.*s' for the format string", (int)(close - p - 1), p + 1), end;
        v = *found;
        p = close + 1;
    }
    for (; p < end && *p && strchr("-+ 0#", *p); p++) {
        if (*p == '-') l.align = '<';
        if (*p == '0' && !l.align) l.align = '=', l.fill[0] = '0';
        if (*p == '+' || *p == ' ') l.sign = l.sign == '+' ? '+' : *p;
        if (*p == '#') l.alternative = true;
    }
    if (l.align == '<') l.fill[0] = ' ';
    l.width = read_number(&p, end);
    if (p < end && *p == '.') p++, l.precision = read_number(&p, end), l.precision = l.precision < 0 ? 0 : l.precision;
    if (p == end) return throw(m, "the format string ends inside a field"), end;
    char type = *p++;
    if (type == '%') return text_add(t, "%", 1, true), p;
    if (!given(v)) v = next_arg(m, a);
    if (type == 's' || type == 'r' || type == 'a') {
        l.fill[0] = ' ';
        if (l.align == '=') l.align = 0;
        if (type != 's') {
            text quoted = {.m = m};
            repr(&quoted, v, 0);
            v = text_value(&quoted);
        }
        format_string(t, v, &l, '>');
    } else if (strchr("diuxXoeEfFgG", type) && type && is_number(v)) {
        l.type = type == 'u' || type == 'i' ? 'd' : type;
        if (l.type == 'd' && v.type == T_FLOAT) {
            if (!(fabs(v.u.f) < 9e18)) return throw(m, "a number is too large"), end;
            v = int_value((int64_t)v.u.f);
        }
        if (is_whole(v) && l.precision >= 0 && strchr("dxXo", l.type)) l.precision = -1;
        format_number(t, v, &l);
    } else if (type == 'c' && (is_string(v) || v.type == T_INT)) {
        char bytes[4];
        bool sound = is_string(v) ? string_chars(v.u.s) == 1 : v.u.i >= 0 && v.u.i < 0x110000;
        if (!sound) return throw(m, "%%c takes one character"), end;
        if (is_string(v)) return text_add_string(t, v.u.s, 0, v.u.s->n), p;
        text_add(t, bytes, utf8_encode((uint32_t)v.u.i, bytes), !v.from_input);
    } else {
        throw(m, "the format %%%c does not take a %s", type >= ' ' && type < 127 ? type : '?', type_name(v));
    }
    return p;
}

value percent_format(vm *m, value format, value args) {
    text t = {.m = m};
    percent_args a = {.args = args};
    const string *s = format.u.s;
    const char *p = s->p, *end = p + s->n;
    while (p < end && spend(m, 0)) {
        const char *percent = memchr(p, '%', (size_t)(end - p));
        text_add_string(&t, s, (size_t)(p - s->p), (size_t)((percent ? percent : end) - s->p));
        p = percent ? percent_field(&t, percent + 1, end, &a) : end;
    }
    bool plain = args.type != T_DICT && args.type != T_LIST && args.type != T_UNDEFINED && args.type != T_RANGE;
    if (!m->failed && plain && a.next < (args.type == T_TUPLE ? args.u.list->n : 1))
        return throw(m, "there are more values than the format string takes");
    value out = text_value(&t);
    if (is_string(out)) out.u.s->markup = s->markup;
    return out;
}

/* ---- "{}".format(args) ------------------------------------------------------------------------ */

static layout read_layout(vm *m, const char *p, const char *end) {
    layout l = {.fill = " ", .n_fill = 1, .precision = -1};
    size_t first = p < end ? utf8_decode(p, end).n : 0;
    if (first && p + first < end && strchr("<>^=", p[first]) && p[first]) {
        memcpy(l.fill, p, first);
        l.n_fill = first;
        l.align = p[first];
        p += first + 1;
    } else if (p < end && *p && strchr("<>^=", *p)) {
        l.align = *p++;
    }
    if (p < end && *p && strchr("+- ", *p)) l.sign = *p++;
    if (p < end && *p == '#') l.alternative = true, p++;
    if (p < end && *p == '0' && !l.align) l.align = '=', l.fill[0] = '0', p++;
    l.width = read_number(&p, end);
    if (p < end && *p == ',') l.comma = true, p++;
    if (p < end && *p == '.') p++, l.precision = read_number(&p, end);
    if (p < end) l.type = *p++;
    if (p < end || (l.type && !strchr("sdfFeEgGxXoc%", l.type))) throw(m, "a format that str.format does not know");
    return l;
}

/* The value of a field "name.attr[item]"; *automatic counts the fields without a name. */
static value field_value(vm *m, str field, const call_args *a, size_t *automatic) {
    size_t n = 0;
    while (n < field.n && field.p[n] != '.' && field.p[n] != '[') n++;
    str name = {field.p, n};
    bool number = n > 0;
    size_t index = 0;
    for (size_t i = 0; i < n; i++) {
        number = number && name.p[i] >= '0' && name.p[i] <= '9';
        index = index > 1 << 20 ? index : index * 10 + (size_t)(name.p[i] - '0');
    }
    value v = UNDEFINED;
    if (n == 0) index = (*automatic)++;
    if (n == 0 || number) {
        if (index >= a->n_all) return throw(m, "str.format: there is no value number %zu", index);
        v = a->all[index];
    } else {
        const value *found = a->named ? dict_find_str(m, a->named, name) : NULL;
        if (!found) return throw(m, "str.format: there is no value named '%.*s'", STR_ARG(name));
        v = *found;
    }
    while (n < field.n && !m->failed) {
        bool item = field.p[n++] == '[';
        size_t from = n;
        while (n < field.n && (item ? field.p[n] != ']' : field.p[n] != '.' && field.p[n] != '[')) n++;
        str key = {field.p + from, n - from};
        bool whole_key;
        int64_t i = parse_whole(key, 10, &whole_key);
        v = item ? get_item(m, v, whole_key ? int_value(i) : own_string(m, key)) : get_attribute(m, v, key);
        n += item && n < field.n;
    }
    return v;
}

static void brace_field(text *t, str field, const call_args *a, size_t *automatic) {
    vm *m = t->m;
    const char *colon = memchr(field.p, ':', field.n), *end = field.p + field.n;
    str name = {field.p, colon ? (size_t)(colon - field.p) : field.n};
    char conversion = 0;
    if (name.n >= 2 && name.p[name.n - 2] == '!') {
        conversion = name.p[name.n - 1];
        name.n -= 2;
    }
    value v = field_value(m, name, a, automatic);
    if (conversion == 'r' || conversion == 's') {
        text converted = {.m = m};
        if (conversion == 'r')
            repr(&converted, v, 0);
        else
            text_add_value(&converted, v);
        v = text_value(&converted);
    }
    if (!colon || colon + 1 == end) {
        text_add_value(t, v);
        return;
    }
    layout l = read_layout(m, colon + 1, end);
    if (m->failed) return;
    if (is_number(v) && l.type != 's' && !(v.type == T_BOOL && !l.type)) {
        if (v.type == T_FLOAT && l.type && strchr("dxXoc", l.type))
            throw(m, "the format %c does not take a float", l.type);
        format_number(t, v, &l);
    } else if (!l.type || l.type == 's') {
        format_string(t, v, &l, '<');
    } else {
        throw(m, "the format %c does not take a %s", l.type, type_name(v));
    }
}

value brace_format(vm *m, value format, const call_args *args) {
    text t = {.m = m};
    const string *s = format.u.s;
    size_t automatic = 0;
    for (size_t at = 0; at < s->n && spend(m, 0);) {
        char c = s->p[at];
        if ((c == '{' || c == '}') && at + 1 < s->n && s->p[at + 1] == c) {
            text_add_string(&t, s, at, at + 1);
            at += 2;
        } else if (c == '{') {
            const char *close = memchr(s->p + at, '}', s->n - at);
            str field = {s->p + at + 1, close ? (size_t)(close - s->p) - at - 1 : 0};
            if (!close || memchr(field.p, '{', field.n))
                return throw(m, "str.format: a { without its }, or one in another");
            brace_field(&t, field, args, &automatic);
            at += field.n + 2;
        } else if (c == '}') {
            return throw(m, "str.format: a } without its {");
        } else {
            size_t from = at;
            while (at < s->n && s->p[at] != '{' && s->p[at] != '}') at++;
            text_add_string(&t, s, from, at);
        }
    }
    return text_value(&t);
}
