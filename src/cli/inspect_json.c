/* gguf-inspect --json: everything as one object. Arrays of more than LONG_ARRAY elements show their first ones only,
 * unless --json-arrays asks for them whole. */
#include <math.h>
#include <stdio.h>

#include "cli/inspect.h"
#include "cli/output.h"

enum { LONG_ARRAY = 16 };

/* ---- writing --------------------------------------------------------------------------------- */

/* An object or array that is being written, one member a line down to the second level. */
typedef struct {
    FILE *out;
    int depth;
    bool begun;
} json;

static void separate(json *j) {
    if (j->begun) fputc(',', j->out);
    j->begun = true;
    if (j->depth <= 2) {
        fprintf(j->out, "\n%*s", 2 * j->depth, "");
    } else {
        fputc(' ', j->out);
    }
}

static void name_member(json *j, str name) {
    separate(j);
    json_string(j->out, name.p, name.n);
    fputs(": ", j->out);
}

static json json_open(FILE *out, char bracket, int depth) {
    fputc(bracket, out);
    return (json){.out = out, .depth = depth};
}

static json open_member(json *j, const char *name, char bracket) {
    name_member(j, str_of(name));
    return json_open(j->out, bracket, j->depth + 1);
}

static void json_close(json *j, char bracket) {
    if (j->begun && j->depth <= 2) {
        fprintf(j->out, "\n%*s", 2 * (j->depth - 1), "");
    } else if (j->begun) {
        fputc(' ', j->out);
    }
    fputc(bracket, j->out);
}

static void put_u64(json *j, const char *name, uint64_t v) {
    name_member(j, str_of(name));
    fprintf(j->out, "%llu", (unsigned long long)v);
}

static void put_text(json *j, const char *name, str v) {
    name_member(j, str_of(name));
    json_string(j->out, v.p, v.n);
}

static void put_null(json *j, const char *name) {
    name_member(j, str_of(name));
    fputs("null", j->out);
}

static void put_bool(json *j, const char *name, bool v) {
    name_member(j, str_of(name));
    fputs(v ? "true" : "false", j->out);
}

static void put_number(json *j, const char *name, double v) {
    name_member(j, str_of(name));
    fputs(isfinite(v) ? short_float(v, false).text : "null", j->out);
}

/* A string under a key, or null. */
static void put_string_of(json *j, const char *name, const gguf_file *f, const char *key) {
    str text;
    if (find_string(f, key, &text)) {
        put_text(j, name, text);
    } else {
        put_null(j, name);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

static void put_element(FILE *out, const gguf_kv *kv, uint64_t i, size_t *pos) {
    str s;
    double v;
    bool is_real = kv->elem == KV_F32 || kv->elem == KV_F64;
    if (kv->elem == KV_STRING) {
        if (kv_next_string(kv, pos, &s)) json_string(out, s.p, s.n);
    } else if (is_real && kv_float(kv, i, &v) && !isfinite(v)) {
        fputs("null", out);
    } else {
        show_number(out, kv, i);
    }
}

static void put_elements(FILE *out, const gguf_kv *kv, uint64_t n) {
    size_t pos = 0;
    fputc('[', out);
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0) fputs(", ", out);
        put_element(out, kv, i, &pos);
    }
    fputc(']', out);
}

/* {"type", "value"}; of a long array {"type", "n", "first"}. */
static void put_value(FILE *out, const gguf_kv *kv, bool whole) {
    size_t pos = 0;
    fprintf(out, "{\"type\": \"%s\", ", type_of(kv).text);
    if (kv->type != KV_ARRAY) {
        fputs("\"value\": ", out);
        put_element(out, kv, 0, &pos);
    } else if (whole || kv->n <= LONG_ARRAY) {
        fputs("\"value\": ", out);
        put_elements(out, kv, kv->n);
    } else {
        fprintf(out, "\"n\": %llu, \"first\": ", (unsigned long long)kv->n);
        put_elements(out, kv, LONG_ARRAY);
    }
    fputc('}', out);
}

/* ---- sections -------------------------------------------------------------------------------- */

static void put_shards(json *top, const gguf_file *f) {
    json list = open_member(top, "shards", '[');
    for (size_t i = 0; i < gguf_file_shard_count(f); i++) {
        const gguf_shard *s = gguf_file_shard(f, i);
        separate(&list);
        json one = json_open(list.out, '{', list.depth + 1);
        put_text(&one, "path", str_of(s->path));
        put_u64(&one, "bytes", s->n_bytes);
        put_u64(&one, "data_offset", s->data_offset);
        json_close(&one, '}');
    }
    json_close(&list, ']');
}

static void put_mix(json *top, const gguf_file *f) {
    int64_t number;
    const char *mix;
    if (!find_mix(f, &number, &mix)) {
        put_null(top, "file_type");
        return;
    }
    json one = open_member(top, "file_type", '{');
    name_member(&one, STR("number"));
    fprintf(one.out, "%lld", (long long)number);
    if (mix) {
        put_text(&one, "name", str_of(mix));
    } else {
        put_null(&one, "name");
    }
    json_close(&one, '}');
}

static void put_file(json *top, const inspection *in) {
    const gguf_file *f = in->file;
    put_u64(top, "version", gguf_file_version(f));
    put_u64(top, "alignment", gguf_file_alignment(f));
    put_u64(top, "bytes", in->file_bytes);
    put_shards(top, f);
    put_string_of(top, "architecture", f, "general.architecture");
    put_bool(top, "architecture_supported", in->arch != NULL);
    put_string_of(top, "name", f, "general.name");
    put_mix(top, f);
    put_u64(top, "n_params", in->total.n_params);
    put_u64(top, "tensor_bytes", in->total.n_bytes);
    put_number(top, "bits_per_weight", bits_per_weight(&in->total));
}

static void put_metadata(json *top, const inspection *in) {
    json object = open_member(top, "metadata", '{');
    for (size_t i = 0; i < gguf_file_kv_count(in->file); i++) {
        const gguf_kv *kv = gguf_file_kv(in->file, i);
        name_member(&object, kv->key);
        put_value(top->out, kv, in->o->json_arrays);
    }
    json_close(&object, '}');
}

/* What a run takes for a key of the table, and whether the file says it. */
static void put_param(json *list, const inspection *in, const param *p) {
    const gguf_kv *kv = hparams_find(in->file, in->arch_name, p->key);
    size_t pos = 0;
    json one = open_member(list, p->key, '{');
    short_text value;
    name_member(&one, STR("value"));
    if (kv && kv->type != KV_ARRAY) {
        put_element(one.out, kv, 0, &pos);
    } else if (find_param_value(in, p, &value)) {
        fputs(value.text, one.out);
    } else {
        fputs("null", one.out);
    }
    put_bool(&one, "in_file", kv != NULL);
    if (!kv && p->absent) put_text(&one, "default", str_of(p->absent));
    json_close(&one, '}');
}

/* The layers of which `bit` of their kind is set, or is not; null where that cannot be known. */
static void put_layers(json *top, const inspection *in, const char *name, uint8_t bit, bool set) {
    if (!in->arch || !in->has_hparams) {
        put_null(top, name);
        return;
    }
    name_member(top, str_of(name));
    json list = json_open(top->out, '[', 3);
    for (uint32_t i = 0; i < in->hp.n_layer; i++) {
        if (((in->hp.layer[i] & bit) != 0) != set) continue;
        separate(&list);
        fprintf(list.out, "%u", i);
    }
    json_close(&list, ']');
}

static void put_hparams(json *top, const inspection *in) {
    json list = open_member(top, "hyper_parameters", '{');
    for (const param *p = hparams_params; p->key && in->arch_name.n; p++) {
        if (shows_param(in, p)) put_param(&list, in, p);
    }
    json_close(&list, '}');
    if (in->has_hparams) {
        put_null(top, "hyper_parameters_error");
    } else {
        put_text(top, "hyper_parameters_error", str_of(in->hparams_error.message));
    }
    put_layers(top, in, "layers_without_rope", LAYER_ROPE, false);
    put_layers(top, in, "layers_with_window", LAYER_LOCAL, true);
    put_layers(top, in, "layers_with_experts", LAYER_EXPERTS, true);
}

static void put_token(json *list, const inspection *in, const char *name) {
    int64_t id;
    str token;
    if (!find_token_id(in->file, name, &id)) return;
    json one = open_member(list, name, '{');
    name_member(&one, STR("id"));
    fprintf(one.out, "%lld", (long long)id);
    if (find_token_name(in->file, id, &token)) {
        put_text(&one, "name", token);
    } else {
        put_null(&one, "name");
    }
    json_close(&one, '}');
}

static void put_length_of(json *list, const char *name, const gguf_kv *kv) {
    put_u64(list, name, kv && kv->type == KV_ARRAY ? kv->n : 0);
}

static void put_tokenizer(json *top, const inspection *in) {
    const gguf_file *f = in->file;
    str chat;
    bool on;
    json list = open_member(top, "tokenizer", '{');
    put_string_of(&list, "model", f, "tokenizer.ggml.model");
    put_string_of(&list, "pre", f, "tokenizer.ggml.pre");
    put_length_of(&list, "n_tokens", find_tokenizer(f, "tokens"));
    put_length_of(&list, "n_merges", find_tokenizer(f, "merges"));
    for (size_t i = 0; tokenizer_ids[i]; i++) put_token(&list, in, tokenizer_ids[i]);
    for (size_t i = 0; tokenizer_switches[i]; i++) {
        const gguf_kv *kv = find_tokenizer(f, tokenizer_switches[i]);
        if (kv && kv_bool(kv, &on)) put_bool(&list, tokenizer_switches[i], on);
    }
    if (find_string(f, "tokenizer.chat_template", &chat)) {
        put_u64(&list, "chat_template_bytes", chat.n);
    } else {
        put_null(&list, "chat_template_bytes");
    }
    json_close(&list, '}');
}

static void put_types(json *top, const inspection *in) {
    json list = open_member(top, "types", '{');
    for (size_t type = 0; type < QUANT_TYPE_COUNT; type++) {
        const tensor_total *t = &in->of_type[type];
        if (t->n_tensors == 0) continue;
        json one = open_member(&list, quant_types[type].name, '{');
        put_u64(&one, "n_tensors", t->n_tensors);
        put_u64(&one, "n_params", t->n_params);
        put_u64(&one, "bytes", t->n_bytes);
        json_close(&one, '}');
    }
    json_close(&list, '}');
}

static void put_tensors(json *top, const inspection *in) {
    json list = open_member(top, "tensors", '[');
    for (size_t i = 0; i < gguf_file_tensor_count(in->file); i++) {
        const gguf_tensor *t = gguf_file_tensor(in->file, i);
        separate(&list);
        json one = json_open(list.out, '{', list.depth + 1);
        put_text(&one, "name", t->name);
        name_member(&one, STR("shape"));
        for (uint32_t d = 0; d < t->n_dims; d++)
            fprintf(one.out, "%s%llu", d ? ", " : "[", (unsigned long long)t->ne[d]);
        fputc(']', one.out);
        put_text(&one, "type", str_of(quant_types[t->type].name));
        put_u64(&one, "n_params", t->n_elements);
        put_u64(&one, "bytes", t->n_bytes);
        put_u64(&one, "offset", t->offset);
        put_u64(&one, "shard", t->shard);
        json_close(&one, '}');
    }
    json_close(&list, ']');
}

static void put_memory(json *top, const inspection *in) {
    if (!in->has_hparams) {
        put_null(top, "memory");
        return;
    }
    memory_plan p = plan_memory(in);
    json list = open_member(top, "memory", '{');
    put_u64(&list, "n_ctx", p.n_ctx);
    put_u64(&list, "weights", p.weights);
    put_u64(&list, "cache", p.cache);
    put_u64(&list, "work", p.work);
    put_u64(&list, "sum", p.sum);
    put_u64(&list, "allowed", p.limit);
    put_bool(&list, "fits", p.fits);
    put_bool(&list, "weights_fit", p.weights_fit);
    json_close(&list, '}');
}

bool inspect_json(const inspection *in, gguf_error *err) {
    (void)err;
    json top = json_open(in->out, '{', 1);
    put_file(&top, in);
    put_hparams(&top, in);
    put_tokenizer(&top, in);
    put_types(&top, in);
    put_memory(&top, in);
    put_metadata(&top, in);
    put_tensors(&top, in);
    json_close(&top, '}');
    fputc('\n', in->out);
    return true;
}
