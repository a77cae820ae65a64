/* gguf-inspect without a flag: the file on one screen. */
#include <stdio.h>

#include "cli/inspect.h"

enum { MAX_NAME = 120, LABEL = 16, KEY = 41, TOKENIZER_KEY = 26 };

static void label(FILE *out, const char *name) { fprintf(out, "%-*s", LABEL, name); }

static void text_row(FILE *out, const char *name, str text) {
    label(out, name);
    show_text(out, text, MAX_NAME);
    fputc('\n', out);
}

static void bytes_row(FILE *out, int width, const char *name, uint64_t n) {
    fprintf(out, "%-*s%-10s (%llu bytes)\n", width, name, human_bytes(n).text, (unsigned long long)n);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void show_file(const inspection *in) {
    const gguf_file *f = in->file;
    FILE *out = in->out;
    size_t n_shards = gguf_file_shard_count(f);
    str name;
    text_row(out, "file", str_of(gguf_file_shard(f, 0)->path));
    for (size_t i = 1; i < n_shards; i++) text_row(out, "", str_of(gguf_file_shard(f, i)->path));
    label(out, "format");
    fprintf(out, "GGUF version %u, %zu keys, %zu tensors, alignment %llu\n", gguf_file_version(f),
            gguf_file_kv_count(f), gguf_file_tensor_count(f), (unsigned long long)gguf_file_alignment(f));
    text_row(out, "architecture", in->arch_name.n ? in->arch_name : STR("not named (general.architecture)"));
    char list[600];
    arch_list(list, sizeof list);
    if (in->arch_name.n && !in->arch) fprintf(out, "%-*snot supported: this program runs %s\n", LABEL, "", list);
    if (find_string(f, "general.name", &name)) text_row(out, "name", name);
    bytes_row(out, LABEL, "size", in->file_bytes);
}

static void show_weights(const inspection *in) {
    FILE *out = in->out;
    int64_t number;
    const char *mix;
    if (in->total.n_tensors == 0) return;
    label(out, "parameters");
    fprintf(out, "%-10s (%llu)\n", human_count(in->total.n_params).text, (unsigned long long)in->total.n_params);
    label(out, "bits a weight");
    fprintf(out, "%.2f\n", bits_per_weight(&in->total));
    if (find_mix(in->file, &number, &mix)) {
        label(out, "quantization");
        fprintf(out, "%s (general.file_type %lld)\n", mix ? mix : "unknown", (long long)number);
    }
}

static void show_context(const inspection *in) {
    int64_t n_ctx;
    const gguf_kv *ctx = in->arch_name.n ? hparams_find(in->file, in->arch_name, "context_length") : NULL;
    if (!ctx || !kv_int(ctx, 0, &n_ctx)) return;
    label(in->out, "context");
    fprintf(in->out, "%lld\n", (long long)n_ctx);
}

/* ---- hyper-parameters ------------------------------------------------------------------------ */

static void show_param(const inspection *in, const param *p) {
    const gguf_kv *kv = hparams_find(in->file, in->arch_name, p->key);
    if (!shows_param(in, p)) return;
    fprintf(in->out, "  %-*s", KEY, p->key);
    if (kv) {
        show_value(in->out, kv);
    } else if (!p->absent) {
        fprintf(in->out, "%-10s missing", "-");
    } else {
        short_text value;
        if (!find_param_value(in, p, &value)) value = (short_text){"-"};
        fprintf(in->out, "%-10s not in the file; default", value.text);
        if (strcmp(value.text, p->absent) != 0) fprintf(in->out, " %s", p->absent);
    }
    fputc('\n', in->out);
}

static void show_other_params(const inspection *in) {
    for (size_t i = 0; i < gguf_file_kv_count(in->file); i++) {
        const gguf_kv *kv = gguf_file_kv(in->file, i);
        str key;
        if (!key_of_arch(in, kv, &key) || is_param(in, key)) continue;
        fputs("  ", in->out);
        show_word(in->out, key, KEY);
        if (key.n >= KEY) fputc(' ', in->out);
        show_value(in->out, kv);
        fputs(is_read(in, key) ? "\n" : "  (not used)\n", in->out);
    }
}

/* The layers of which `bit` of their kind is set, or is not. */
static void show_layers(const inspection *in, const char *what, uint8_t bit, bool set) {
    bool none = true;
    fprintf(in->out, "  %s:", what);
    for (uint32_t i = 0; i < in->hp.n_layer; i++) {
        if (((in->hp.layer[i] & bit) != 0) != set) continue;
        fprintf(in->out, " %u", i);
        none = false;
    }
    fputs(none ? " none\n" : "\n", in->out);
}

static void show_kinds_of_layers(const inspection *in) {
    if (!in->arch || !in->has_hparams) return;
    show_layers(in, "layers without RoPE", LAYER_ROPE, false);
    if (in->hp.window > 0) show_layers(in, "layers with a window", LAYER_LOCAL, true);
    if (in->hp.n_expert > 0) show_layers(in, "layers without experts", LAYER_EXPERTS, false);
    if (in->hp.n_conv > 0) show_layers(in, "layers with a convolution", LAYER_CONV, true);
}

static void show_hparams(const inspection *in) {
    if (in->arch_name.n == 0) return;
    fputs("\nhyper-parameters\n", in->out);
    for (const param *p = hparams_params; p->key; p++) show_param(in, p);
    show_other_params(in);
    show_kinds_of_layers(in);
    if (!in->has_hparams) fprintf(in->out, "  cannot be used: %s\n", in->hparams_error.message);
}

/* ---- the tokenizer --------------------------------------------------------------------------- */

static void show_token_id(const inspection *in, const char *name) {
    int64_t id;
    str token;
    if (!find_token_id(in->file, name, &id)) return;
    fprintf(in->out, "  %-*s%-10lld ", TOKENIZER_KEY, name, (long long)id);
    if (find_token_name(in->file, id, &token)) {
        show_text(in->out, token, MAX_NAME);
    } else {
        fputs("not in the vocabulary", in->out);
    }
    fputc('\n', in->out);
}

static void show_tokenizer_key(const inspection *in, const char *name) {
    const gguf_kv *kv = find_tokenizer(in->file, name);
    if (!kv) return;
    fprintf(in->out, "  %-*s", TOKENIZER_KEY, name);
    str text;
    if (kv->type == KV_ARRAY) {
        fprintf(in->out, "%llu", (unsigned long long)kv->n);
    } else if (kv_string(kv, &text)) {
        show_text(in->out, text, MAX_NAME);
    } else {
        show_value(in->out, kv);
    }
    fputc('\n', in->out);
}

static void show_tokenizer(const inspection *in) {
    static const char *const keys[] = {"model", "pre", "tokens", "merges"};
    str chat;
    fputs("\ntokenizer\n", in->out);
    if (!find_tokenizer(in->file, "model")) fputs("  none (tokenizer.ggml.model)\n", in->out);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) show_tokenizer_key(in, keys[i]);
    for (size_t i = 0; tokenizer_ids[i]; i++) show_token_id(in, tokenizer_ids[i]);
    for (size_t i = 0; tokenizer_switches[i]; i++) show_tokenizer_key(in, tokenizer_switches[i]);
    fprintf(in->out, "  %-*s", TOKENIZER_KEY, "chat template");
    if (find_string(in->file, "tokenizer.chat_template", &chat)) {
        fprintf(in->out, "yes (%zu bytes)\n", chat.n);
    } else {
        fputs("no\n", in->out);
    }
}

/* ---- tensors --------------------------------------------------------------------------------- */

static void show_types(const inspection *in) {
    const tensor_total *all = &in->total;
    int params = digits_of(all->n_params), bytes = digits_of(all->n_bytes);
    params = params < 7 ? 7 : params;
    bytes = bytes < 5 ? 5 : bytes;
    if (all->n_tensors == 0) {
        fputs("\ntensors\n  none\n", in->out);
        return;
    }
    fprintf(in->out, "\ntensors\n  %-8s %7s  %*s  %*s  %6s  %5s\n", "type", "tensors", params, "weights", bytes,
            "bytes", "share", "bits");
    for (size_t type = 0; type < QUANT_TYPE_COUNT; type++) {
        const tensor_total *t = &in->of_type[type];
        if (t->n_tensors == 0) continue;
        fprintf(in->out, "  %-8s %7zu  %*llu  %*llu  %5.1f%%  %5.2f\n", quant_types[type].name, t->n_tensors, params,
                (unsigned long long)t->n_params, bytes, (unsigned long long)t->n_bytes,
                100 * (double)t->n_bytes / (double)all->n_bytes, bits_per_weight(t));
    }
    fprintf(in->out, "  %-8s %7zu  %*llu  %*llu  %5.1f%%  %5.2f\n", "all", all->n_tensors, params,
            (unsigned long long)all->n_params, bytes, (unsigned long long)all->n_bytes, 100.0, bits_per_weight(all));
}

static void show_memory(const inspection *in) {
    if (!in->has_hparams) return;
    memory_plan p = plan_memory(in);
    fprintf(in->out, "\nmemory at a context of %u (-c), keys %s, values %s\n", p.n_ctx, cache_types[in->o->cache_k],
            cache_types[in->o->cache_v]);
    bytes_row(in->out, LABEL, "  weights", p.weights);
    bytes_row(in->out, LABEL, "  cache", p.cache);
    bytes_row(in->out, LABEL, "  work", p.work);
    bytes_row(in->out, LABEL, "  sum", p.sum);
}

bool inspect_summary(const inspection *in, gguf_error *err) {
    (void)err;
    show_file(in);
    show_weights(in);
    show_context(in);
    show_hparams(in);
    show_tokenizer(in);
    show_types(in);
    show_memory(in);
    return true;
}
