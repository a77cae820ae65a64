/* Values of the template interpreter: memory, lists, dicts, truth, equality, order. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "text/template_internal.h"
#include "text/unicode.h"

/* ---- memory ----------------------------------------------------------------------------------- */

enum { ALIGN = 16, CHUNK_BYTES = 32 << 10 };

struct chunk {
    chunk *next;
    size_t size, used; /* of the bytes behind this header */
};

enum { HEADER = (sizeof(chunk) + ALIGN - 1) / ALIGN * ALIGN };

static char *bytes_of(chunk *c) { return (char *)c + HEADER; }

void *heap_alloc(heap *h, size_t n) {
    if (n > h->limit) return NULL;
    n = n ? (n + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    chunk *c = h->chunks;
    if (!c || c->size - c->used < n) {
        size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
        if (h->total + size + HEADER > h->limit) return NULL;
        c = malloc(HEADER + size);
        if (!c) return NULL;
        *c = (chunk){h->chunks, size, 0};
        h->total += size + HEADER;
        h->chunks = c;
    }
    void *p = bytes_of(c) + c->used;
    c->used += n;
    return memset(p, 0, n);
}

void *heap_grow(heap *h, void *p, size_t old, size_t n) {
    chunk *c = h->chunks;
    size_t rounded = (old + ALIGN - 1) / ALIGN * ALIGN;
    if (p && c && (char *)p + rounded == bytes_of(c) + c->used && n <= c->size - c->used + rounded) {
        c->used += (n + ALIGN - 1) / ALIGN * ALIGN - rounded; /* the last one grows where it is */
        return p;
    }
    void *moved = heap_alloc(h, n);
    if (moved && old) memcpy(moved, p, old);
    return moved;
}

void heap_free(heap *h) {
    for (chunk *c = h->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *h = (heap){.limit = h->limit};
}

void *vm_alloc(vm *m, size_t n, size_t size) {
    uint64_t bytes = UINT64_MAX;
    bool sound = mul_u64(n, size, &bytes) && bytes <= m->mem.limit;
    void *p = sound ? heap_alloc(&m->mem, (size_t)bytes) : NULL;
    if (!p && !m->failed) {
        throw(m, "it needs more memory than the %zu MiB that a template may use", m->mem.limit >> 20);
        if (m->err) m->err->code = GGUF_ERR_MEMORY;
    }
    return p;
}

bool spend(vm *m, size_t bytes) {
    m->steps += 1 + (bytes >> 10);
    if (m->steps > TEMPLATE_MAX_STEPS && !m->failed) {
        throw(m, "it takes more than %d steps: it does not end, or the conversation is too long for it",
              TEMPLATE_MAX_STEPS);
    }
    return !m->failed;
}

/* ---- errors ----------------------------------------------------------------------------------- */

value throw(vm * m, const char *fmt, ...) {
    char message[400];
    if (m->failed) return UNDEFINED;
    m->failed = true;
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    fail(m->err, GGUF_ERR_USAGE, "chat template, line %u: %s", m->line, message);
    return UNDEFINED;
}

static const char *const type_names[T_COUNT] = {"Undefined",  "None",      "bool",   "int",         "float",
                                                "str",        "list",      "tuple",  "dict_keys",   "dict_values",
                                                "dict_items", "generator", "range",  "dict",        "namespace",
                                                "macro",      "function",  "method", "loop object", "nothing"};

const char *type_name(value v) { return type_names[v.type]; }

value throw_undefined(vm *m, value v) {
    const undefined_hint *h = v.u.hint;
    if (!h) return throw(m, "an undefined value is used");
    if (h->unsafe)
        return throw(m, "'%.*s' would change the %s, which templates may not do", STR_ARG(h->name),
                     type_names[h->owner]);
    if (h->owner == T_UNDEFINED) return throw(m, "%.*s", STR_ARG(h->name));
    if (h->owner == T_ABSENT) return throw(m, "'%.*s' is undefined", STR_ARG(h->name));
    return throw(m, "a %s has no attribute '%.*s'", type_names[h->owner], STR_ARG(h->name));
}

/* ---- lists ------------------------------------------------------------------------------------ */

value new_list(vm *m, value_type type, size_t room) {
    list *l = vm_alloc(m, 1, sizeof *l);
    if (!l) return UNDEFINED;
    if (room > 0) l->items = vm_alloc(m, room, sizeof *l->items);
    l->room = l->items ? room : 0;
    return (value){.type = (uint8_t)type, .u.list = l};
}

void list_add(vm *m, value v, value item) {
    if (!is_list(v) || m->failed) return;
    list *l = v.u.list;
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 4;
        value *items = heap_grow(&m->mem, l->items, l->n * sizeof *items, room * sizeof *items);
        if (!items) {
            vm_alloc(m, SIZE_MAX, 1);
            return;
        }
        l->items = items;
        l->room = room;
    }
    l->items[l->n++] = item;
}

size_t count_items(value v) {
    switch (v.type) {
    case T_UNDEFINED: return 0;
    case T_STRING: return string_chars(v.u.s);
    case T_LIST:
    case T_TUPLE:
    case T_KEYS:
    case T_VALUES:
    case T_ITEMS: return v.u.list->n;
    case T_ITERATOR: return v.u.list->n - v.u.list->at;
    case T_RANGE: return v.u.range->n;
    case T_DICT: return v.u.dict->n;
    default: return SIZE_MAX;
    }
}

value item_at(vm *m, value v, size_t i) {
    switch (v.type) {
    case T_STRING: {
        size_t from = char_to_byte(v.u.s, i);
        if (v.u.s->chars != v.u.s->n) spend(m, 2 * from); /* it is walked to */
        return substring(m, v.u.s, from, char_to_byte(v.u.s, i + 1));
    }
    case T_ITERATOR: return v.u.list->items[v.u.list->at + i];
    case T_RANGE: return int_value(v.u.range->start + (int64_t)i * v.u.range->step);
    case T_DICT: return v.u.dict->entries[i].key;
    default: return is_list(v) ? v.u.list->items[i] : UNDEFINED;
    }
}

/* Walks a string once. */
static value characters(vm *m, string *s) {
    value out = new_list(m, T_LIST, string_chars(s));
    for (size_t at = 0; at < s->n && spend(m, 0);) {
        size_t n = utf8_decode(s->p + at, s->p + s->n).n;
        list_add(m, out, substring(m, s, at, at + n));
        at += n;
    }
    return out;
}

value to_list(vm *m, value v) {
    size_t n = count_items(v);
    if (n == SIZE_MAX) {
        throw(m, "a value of type %s cannot be gone through", type_name(v));
        return new_list(m, T_LIST, 0);
    }
    if (v.type == T_STRING) return characters(m, v.u.s);
    value out = new_list(m, T_LIST, n);
    spend(m, n * 16);
    for (size_t i = 0; i < n && !m->failed; i++) list_add(m, out, item_at(m, v, i));
    if (v.type == T_ITERATOR) v.u.list->at = v.u.list->n;
    return out;
}

/* ---- dicts ------------------------------------------------------------------------------------ */

enum { SMALL_DICT = 8 };

value new_dict(vm *m) {
    dict *d = vm_alloc(m, 1, sizeof *d);
    return d ? (value){.type = T_DICT, .u.dict = d} : UNDEFINED;
}

static uint64_t f64_bits(double f) {
    uint64_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* Equal keys have equal hashes: 1, 1.0 and True are one key. Fails for what cannot be a key. */
static uint64_t hash_value(vm *m, value v) {
    switch (v.type) {
    case T_STRING: return str_hash(hash_key(), view(v));
    case T_UNDEFINED: return 0;
    case T_NONE: return 1;
    case T_BOOL:
    case T_INT: return u64_hash(hash_key(), (uint64_t)whole(v));
    case T_FLOAT:
        if (v.u.f >= -9e18 && v.u.f <= 9e18 && v.u.f == (double)(int64_t)v.u.f)
            return u64_hash(hash_key(), (uint64_t)(int64_t)v.u.f);
        return u64_hash(hash_key(), f64_bits(v.u.f));
    case T_TUPLE: {
        uint64_t h = 7;
        if (++m->depth > 4 * TEMPLATE_MAX_DEPTH) throw(m, "tuples are nested too deeply");
        for (size_t i = 0; i < v.u.list->n && !m->failed; i++)
            h = u64_hash(hash_key(), h ^ hash_value(m, v.u.list->items[i]));
        m->depth--;
        return h;
    }
    default: throw(m, "a value of type %s cannot be a key", type_name(v)); return 0;
    }
}

static bool same_key(vm *m, value a, value b) {
    if (is_string(a) && is_string(b)) return str_eq(view(a), view(b));
    return is_string(a) == is_string(b) && equal(m, a, b);
}

/* Where the key stands in entries, or SIZE_MAX. */
static size_t dict_place(vm *m, const dict *d, value key) {
    if (!d->slots) {
        for (size_t i = 0; i < d->n; i++) {
            if (same_key(m, d->entries[i].key, key)) return i;
        }
        return SIZE_MAX;
    }
    for (size_t i = hash_value(m, key) & d->mask; d->slots[i] && !m->failed; i = (i + 1) & d->mask) {
        if (same_key(m, d->entries[d->slots[i] - 1].key, key)) return d->slots[i] - 1;
    }
    return SIZE_MAX;
}

static void index_entry(vm *m, dict *d, size_t place) {
    size_t i = hash_value(m, d->entries[place].key) & d->mask;
    while (d->slots[i]) i = (i + 1) & d->mask;
    d->slots[i] = (uint32_t)place + 1;
}

static bool grow_dict(vm *m, dict *d) {
    size_t room = d->room ? 2 * d->room : 4;
    if (room > UINT32_MAX / 4) return vm_alloc(m, SIZE_MAX, 1) != NULL;
    entry *entries = vm_alloc(m, room, sizeof *entries);
    uint32_t *slots = room > SMALL_DICT ? vm_alloc(m, 2 * room, sizeof *slots) : NULL;
    if (!entries || (room > SMALL_DICT && !slots)) return false;
    if (d->n) memcpy(entries, d->entries, d->n * sizeof *entries);
    d->entries = entries;
    d->room = room;
    d->slots = slots;
    d->mask = 2 * room - 1;
    for (size_t i = 0; slots && i < d->n; i++) index_entry(m, d, i);
    return true;
}

void dict_set(vm *m, dict *d, value key, value v) {
    if (!d || m->failed) return;
    hash_value(m, key);
    size_t place = m->failed ? SIZE_MAX : dict_place(m, d, key);
    if (place != SIZE_MAX) {
        d->entries[place].value = v;
        return;
    }
    if (m->failed || (d->n == d->room && !grow_dict(m, d))) return;
    d->entries[d->n++] = (entry){key, v};
    if (d->slots) index_entry(m, d, d->n - 1);
}

const value *dict_find(vm *m, const dict *d, value key) {
    size_t place = dict_place(m, d, key);
    return place == SIZE_MAX || m->failed ? NULL : &d->entries[place].value;
}

const value *dict_find_str(vm *m, const dict *d, str key) {
    string s = {.p = key.p, .n = key.n, .chars = SIZE_MAX};
    return dict_find(m, d, (value){.type = T_STRING, .u.s = &s});
}

value dict_view(vm *m, dict *d, value_type type) {
    value out = new_list(m, type, d->n);
    spend(m, d->n * sizeof(entry));
    for (size_t i = 0; i < d->n && !m->failed; i++) {
        value item = type == T_VALUES ? d->entries[i].value : d->entries[i].key;
        if (type == T_ITEMS) {
            item = new_list(m, T_TUPLE, 2);
            list_add(m, item, d->entries[i].key);
            list_add(m, item, d->entries[i].value);
        }
        list_add(m, out, item);
    }
    return out;
}

/* ---- truth, equality, order ------------------------------------------------------------------- */

bool truth(value v) {
    switch (v.type) {
    case T_UNDEFINED:
    case T_NONE:
    case T_ABSENT: return false;
    case T_BOOL: return v.u.b;
    case T_INT: return v.u.i != 0;
    case T_FLOAT: return v.u.f != 0;
    case T_STRING: return v.u.s->n > 0;
    case T_LIST:
    case T_TUPLE:
    case T_KEYS:
    case T_VALUES:
    case T_ITEMS: return v.u.list->n > 0;
    case T_RANGE: return v.u.range->n > 0;
    case T_DICT: return v.u.dict->n > 0;
    default: return true;
    }
}

/* -1, 0, 1; 2 where one is NaN. Exact also where a double cannot hold the integer. */
static int compare_numbers(value a, value b) {
    if (is_whole(a) && is_whole(b)) return whole(a) < whole(b) ? -1 : whole(a) > whole(b);
    double x = real(a), y = real(b);
    if (isnan(x) || isnan(y)) return 2;
    if (x != y || (a.type == T_FLOAT && b.type == T_FLOAT)) return x < y ? -1 : x > y;
    bool flip = a.type == T_FLOAT; /* an integer and a double that look the same */
    int64_t i = whole(flip ? b : a);
    double f = flip ? x : y;
    if (f >= 0x1p63) return flip ? 1 : -1;
    int order = i < (int64_t)f ? -1 : i > (int64_t)f;
    return flip ? -order : order;
}

static bool enter(vm *m) {
    if (m->depth++ < 8 * TEMPLATE_MAX_DEPTH) return true;
    throw(m, "values are nested too deeply to be compared");
    return false;
}

static bool equal_dicts(vm *m, const dict *a, const dict *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n && !m->failed; i++) {
        const value *other = dict_find(m, b, a->entries[i].key);
        if (!other || !equal(m, a->entries[i].value, *other)) return false;
    }
    return true;
}

static bool equal_lists(vm *m, value a, value b) {
    size_t n = count_items(a);
    if (n != count_items(b)) return false;
    for (size_t i = 0; i < n && !m->failed; i++) {
        if (!equal(m, item_at(m, a, i), item_at(m, b, i))) return false;
    }
    return true;
}

bool equal(vm *m, value a, value b) {
    if (is_number(a) && is_number(b)) return compare_numbers(a, b) == 0;
    if (a.type != b.type || m->failed) return false;
    switch (a.type) {
    case T_UNDEFINED:
    case T_NONE: return true;
    case T_STRING: return spend(m, a.u.s->n == b.u.s->n ? a.u.s->n / 8 : 0) && str_eq(view(a), view(b));
    case T_LIST:
    case T_TUPLE:
    case T_KEYS:
    case T_ITEMS:
    case T_RANGE:
    case T_DICT: break;
    default: return a.u.list == b.u.list; /* the same thing */
    }
    if (!spend(m, 0) || !enter(m)) return false;
    bool same = a.type == T_DICT ? equal_dicts(m, a.u.dict, b.u.dict) : equal_lists(m, a, b);
    m->depth--;
    return same;
}

static int compare_lists(vm *m, const list *a, const list *b) {
    for (size_t i = 0; i < a->n && i < b->n && !m->failed; i++) {
        if (!equal(m, a->items[i], b->items[i])) return compare(m, a->items[i], b->items[i]);
    }
    return a->n < b->n ? -1 : a->n > b->n;
}

int compare(vm *m, value a, value b) {
    if (is_number(a) && is_number(b)) return compare_numbers(a, b);
    if (a.type == T_UNDEFINED || b.type == T_UNDEFINED) {
        throw_undefined(m, a.type == T_UNDEFINED ? a : b);
    } else if (is_string(a) && is_string(b)) {
        size_t n = a.u.s->n < b.u.s->n ? a.u.s->n : b.u.s->n;
        int order = n && spend(m, n / 8) ? memcmp(a.u.s->p, b.u.s->p, n) : 0; /* UTF-8 keeps the order of characters */
        return order ? (order < 0 ? -1 : 1) : a.u.s->n < b.u.s->n ? -1 : a.u.s->n > b.u.s->n;
    } else if (a.type == b.type && (a.type == T_LIST || a.type == T_TUPLE)) {
        if (!spend(m, 0) || !enter(m)) return 0;
        int order = compare_lists(m, a.u.list, b.u.list);
        m->depth--;
        return order;
    } else {
        throw(m, "there is no order between %s and %s", type_name(a), type_name(b));
    }
    return 0;
}

bool contains(vm *m, value in, value what) {
    if (in.type == T_UNDEFINED) return false;
    if (is_string(in)) {
        if (!is_string(what)) {
            if (what.type == T_UNDEFINED)
                throw_undefined(m, what);
            else
                throw(m, "`in` a string looks for a string, not for a %s", type_name(what));
            return false;
        }
        return spend(m, in.u.s->n / 4) && find_bytes(view(in), view(what), 0) >= 0;
    }
    if (in.type == T_DICT) return hash_value(m, what), dict_find(m, in.u.dict, what) != NULL;
    size_t n = count_items(in);
    if (n == SIZE_MAX) {
        throw(m, "`in` looks into strings, lists and dicts, not into a %s", type_name(in));
        return false;
    }
    for (size_t i = 0; i < n && spend(m, 16); i++) {
        if (equal(m, item_at(m, in, i), what)) return true;
    }
    return false;
}
