/* Metadata that a person sets instead of the file's: "KEY=TYPE:VALUE,KEY=TYPE:VALUE". */
#include <stdlib.h>

#include "format/gguf_file.h"

/* Parses a value's text, NUL-terminated, into raw bytes. */
typedef bool parse_fn(const char *text, uint8_t *raw);

static bool parse_int(const char *text, uint8_t *raw) {
    char *end;
    long long v = strtoll(text, &end, 10);
    memcpy(raw, &v, sizeof v);
    return end != text && *end == 0;
}

static bool parse_float(const char *text, uint8_t *raw) {
    char *end;
    double v = strtod(text, &end);
    memcpy(raw, &v, sizeof v);
    return end != text && *end == 0;
}

static bool parse_bool(const char *text, uint8_t *raw) {
    raw[0] = strcmp(text, "true") == 0;
    return raw[0] || strcmp(text, "false") == 0;
}

static const struct {
    const char *name;
    kv_type type;
    parse_fn *parse; /* NULL: a string */
} types[] = {{"int:", KV_I64, parse_int},
             {"float:", KV_F64, parse_float},
             {"bool:", KV_BOOL, parse_bool},
             {"str:", KV_STRING, NULL}};

enum { N_TYPES = sizeof types / sizeof *types, MAX_KEY = 128, MAX_VALUE = 1024 };

static int find_type(const char *text) {
    for (int i = 0; i < N_TYPES; i++) {
        if (strncmp(text, types[i].name, strlen(types[i].name)) == 0) return i;
    }
    return -1;
}

/* Where the next "KEY=TYPE:" begins, behind its comma, or the end: other commas belong to the value. */
static const char *item_end(const char *value) {
    for (const char *comma = strchr(value, ','); comma; comma = strchr(comma + 1, ',')) {
        size_t key = strcspn(comma + 1, ",=");
        if (comma[1 + key] == '=' && find_type(comma + key + 2) >= 0) return comma;
    }
    return value + strlen(value);
}

/* The key with the architecture's name in front where it begins with '.'; false where it is too long. */
static bool full_key(const gguf_file *f, const char *text, size_t n, char *out, size_t *n_out) {
    str arch = {"", 0};
    const gguf_kv *kv = *text == '.' ? gguf_file_find_kv(f, STR("general.architecture")) : NULL;
    if (kv && !kv_string(kv, &arch)) return false;
    if (n == 0 || n + arch.n > MAX_KEY) return false;
    memcpy(out, arch.p, arch.n);
    memcpy(out + arch.n, text, n);
    *n_out = arch.n + n;
    return true;
}

static bool set_one(gguf_file *f, const char *text, const char **end, gguf_error *err) {
    char key[MAX_KEY], value[MAX_VALUE];
    uint8_t raw[8 + MAX_VALUE];
    size_t n_key = strcspn(text, "="), n_full;
    int type = text[n_key] == '=' ? find_type(text + n_key + 1) : -1;
    if (type < 0)
        return fail(err, GGUF_ERR_USAGE,
                    "\"%.60s\" sets no key: it must be KEY=TYPE:VALUE with int, float, bool or str", text);
    const char *from = text + n_key + 1 + strlen(types[type].name);
    *end = item_end(from);
    size_t n = (size_t)(*end - from);
    if (!full_key(f, text, n_key, key, &n_full) || n >= MAX_VALUE)
        return fail(err, GGUF_ERR_USAGE, "\"%.60s\" sets no key: the key is empty or something is too long", text);
    memcpy(value, from, n);
    value[n] = 0;
    gguf_kv kv = {.key = {key, n_full}, .type = types[type].type, .elem = types[type].type, .n = 1, .data = raw};
    if (types[type].parse) {
        kv.n_bytes = kv_type_size(kv.type);
        if (!types[type].parse(value, raw))
            return fail(err, GGUF_ERR_USAGE, "\"%.60s\": \"%.40s\" is no value of type %.*s", text, value,
                        (int)strlen(types[type].name) - 1, types[type].name);
    } else {
        uint64_t size = n;
        memcpy(raw, &size, sizeof size);
        memcpy(raw + sizeof size, value, n);
        kv.n_bytes = sizeof size + n;
    }
    return gguf_file_set_kv(f, kv, err);
}

bool gguf_file_override(gguf_file *f, const char *text, gguf_error *err) {
    for (const char *end = text; *text; text = end + (*end == ',')) {
        if (!set_one(f, text, &end, err)) return false;
    }
    return true;
}
