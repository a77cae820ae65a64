/* gguf-bench: the table people know from llama-bench, and one column more: what part of the machine's limit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/error.h"
#include "cli/input.h"
#include "kernel/peak.h"
#include "model/model.h"
#include "session/cache.h"
#include "session/session.h"

enum { MAX_RUNS = 1000 };

/* ---- what is asked for ----------------------------------------------------------------------- */

typedef struct {
    uint32_t v[MAX_LIST];
    size_t n;
} numbers;

static bool parse_list(const char *name, const char *text, numbers *out, gguf_error *err) {
    out->n = 0;
    for (const char *p = text; out->n < MAX_LIST;) {
        char *end;
        long v = strtol(p, &end, 10);
        if (v == -1) v = 0; /* the default, as elsewhere */
        if (end == p || v < 0 || v > 1 << 24 || (*end && *end != ',')) break;
        out->v[out->n++] = (uint32_t)v;
        if (!*end) return true;
        p = end + 1;
    }
    return fail(err, GGUF_ERR_USAGE, "%s takes numbers separated by commas, not \"%s\"", name, text);
}

/* One line of the table. */
typedef struct {
    uint32_t n_prompt, n_gen, n_depth, n_threads;
    size_t n;           /* runs */
    double s[MAX_RUNS]; /* seconds of each */
    double limit_s;     /* the least that the machine could need */
    uint32_t gpu_layers;
    double gpu_share; /* of the weights */
} result;

typedef struct {
    const options *o;
    gguf_model *model;
    gguf_model_info info;
    machine_peak peak; /* with the threads of the test */
    machine_peak gpu;  /* the first one's; 0: not measured */
    char gpu_name[64];
    uint32_t peak_threads;
    const char *backend;
    char cpu[128];
} bench;

static uint32_t tokens_of(const result *r) { return r->n_prompt + r->n_gen; }
static double rate(const result *r, size_t i) { return tokens_of(r) / r->s[i]; }

static double mean_rate(const result *r) {
    double sum = 0;
    for (size_t i = 0; i < r->n; i++) sum += rate(r, i);
    return sum / (double)r->n;
}

static double deviation(const result *r) {
    double mean = mean_rate(r), sum = 0;
    for (size_t i = 0; i < r->n; i++) sum += (rate(r, i) - mean) * (rate(r, i) - mean);
    return r->n > 1 ? sqrt(sum / (double)(r->n - 1)) : 0;
}

/* Of the median run, so that one disturbed run does not change the figure. */
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double percent_of_limit(const result *r) {
    double sorted[MAX_RUNS];
    memcpy(sorted, r->s, r->n * sizeof *sorted);
    qsort(sorted, r->n, sizeof *sorted, by_value);
    double median = r->n % 2 ? sorted[r->n / 2] : (sorted[r->n / 2 - 1] + sorted[r->n / 2]) / 2;
    return 100 * r->limit_s / median;
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* The least time for a test if all of it ran there: each generated token reads all weights and the cache before it;
 * each prompt token multiplies all of the layers' weights. */
static double least_seconds_at(const bench *b, const result *r, const machine_peak *peak) {
    model_cost c = model_count_cost(b->model);
    double prompt = (double)c.block_macs / peak->int8_macs + (double)c.plain_macs / peak->f32_macs;
    uint32_t before = r->n_depth + (r->n_gen + 1) / 2; /* positions looked back at, on average */
    double bytes =
        (double)c.decode_bytes +
        (double)cache_bytes(&b->model->hp, before, 1, (gguf_cache_type)b->o->cache_k, (gguf_cache_type)b->o->cache_v);
    return r->n_prompt * prompt + r->n_gen * bytes / peak->read_bytes;
}

/* GPU and CPU take turns, each for the part of the weights that it has. */
static double least_seconds(const bench *b, const result *r) {
    double cpu = r->gpu_share < 1 ? (1 - r->gpu_share) * least_seconds_at(b, r, &b->peak) : 0;
    return r->gpu_share > 0 ? cpu + r->gpu_share * least_seconds_at(b, r, &b->gpu) : cpu;
}

static bool run_once(gguf_session *s, const int32_t *ids, const result *r, double *seconds, gguf_error *err) {
    double begin = clock_seconds();
    if (r->n_prompt && !gguf_session_decode(s, ids, r->n_prompt, err)) return false;
    for (uint32_t i = 0; i < r->n_gen; i++) {
        if (!gguf_session_decode(s, ids + i, 1, err)) return false;
    }
    *seconds = clock_seconds() - begin;
    return gguf_session_rewind(s, r->n_depth, err);
}

static bool measure(bench *b, gguf_session *s, const int32_t *ids, result *r, gguf_error *err) {
    double warm_up;
    if (r->n_depth && !gguf_session_decode(s, ids, r->n_depth, err)) return false;
    result once = {.n_prompt = r->n_prompt, .n_gen = r->n_gen ? 1 : 0, .n_depth = r->n_depth};
    if (!run_once(s, ids, &once, &warm_up, err)) return false;
    for (r->n = 0; r->n < (size_t)b->o->repetitions; r->n++) {
        if (!run_once(s, ids, r, &r->s[r->n], err)) return false;
    }
    r->limit_s = least_seconds(b, r);
    return true;
}

static bool run_test(bench *b, result *r, gguf_error *err) {
    gguf_session_params p = session_params(b->o, "bench");
    p.n_ctx = r->n_depth + tokens_of(r) + 1;
    p.n_threads = r->n_threads;
    size_t n = (size_t)p.n_ctx + 1;
    int32_t *ids = malloc(n * sizeof *ids);
    gguf_session *s = ids ? gguf_session_open(b->model, &p, err) : NULL;
    bool ok = s != NULL;
    if (ok) {
        r->n_threads = gguf_session_threads(s);
        uint32_t x = 1;
        for (size_t i = 0; i < n; i++) ids[i] = (int32_t)((x = x * 1664525 + 1013904223) % b->info.n_vocab);
        r->gpu_layers = gguf_session_gpu_layers(s);
        r->gpu_share = split_share(session_split(s));
        if (b->peak_threads != r->n_threads) ok = machine_measure((int)r->n_threads, &b->peak, err);
        if (ok && r->gpu_layers > 0 && b->gpu.read_bytes == 0)
            ok = split_measure(0, &b->gpu, b->gpu_name, sizeof b->gpu_name, err);
        b->peak_threads = r->n_threads;
        ok = ok && measure(b, s, ids, r, err);
    }
    gguf_session_close(s);
    free(ids);
    return ok;
}

/* ---- showing --------------------------------------------------------------------------------- */

static void test_name(const result *r, char *out, size_t size) {
    int n = r->n_prompt ? snprintf(out, size, "pp%u", r->n_prompt) : snprintf(out, size, "tg%u", r->n_gen);
    if (r->n_depth) snprintf(out + n, size - (size_t)n, " @ d%u", r->n_depth);
}

/* "CPU avx2", "CUDA", or both. */
static void backend_name(const bench *b, const result *r, char *out, size_t size) {
    bool all = r->gpu_share >= 1;
    snprintf(out, size, "%s%s%s", r->gpu_layers ? "CUDA" : "", r->gpu_layers && !all ? "+" : "", all ? "" : b->backend);
}

static void model_name(const bench *b, char *out, size_t size) {
    snprintf(out, size, "%s %s", b->info.arch, *b->info.name ? b->info.name : b->o->model);
    if (strlen(out) > 40) out[40] = 0;
    strip_controls(out);
}

static void md_header(const bench *b) {
    (void)b;
    printf("| %-40s | %10s | %10s | %-12s | %7s | %14s | %20s | %10s |\n", "model", "size", "params", "backend",
           "threads", "test", "t/s", "% of limit");
    printf("| %.40s | %.9s: | %.9s: | %.12s | %.6s: | %.13s: | %.19s: | %.9s: |\n",
           "----------------------------------------", "---------", "---------", "------------", "------",
           "-------------", "-------------------", "---------");
}

static void md_row(const bench *b, const result *r, bool first) {
    char model[160], test[48], speed[48], where[48];
    (void)first;
    model_name(b, model, sizeof model);
    test_name(r, test, sizeof test);
    backend_name(b, r, where, sizeof where);
    snprintf(speed, sizeof speed, "%.2f ± %.2f", mean_rate(r), deviation(r));
    printf("| %-40s | %10s | %10s | %-12s | %7u | %14s | %*s | %10.1f |\n", model, human_bytes(b->info.n_bytes).text,
           human_count(b->info.n_params).text, where, r->n_threads, test, 21, speed, percent_of_limit(r));
}

/* The fields that llama-bench has, and ours behind them; `quote` is how a format writes text. */
static void fields(const bench *b, const result *r, void (*put)(const char *name, const char *text, double number)) {
    char model[160], when[32], where[48];
    backend_name(b, r, where, sizeof where);
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    model_name(b, model, sizeof model);
    double mean = mean_rate(r), sum_s = 0, sum_square = 0;
    for (size_t i = 0; i < r->n; i++) sum_s += r->s[i];
    for (size_t i = 0; i < r->n; i++) sum_square += pow(r->s[i] - sum_s / (double)r->n, 2);
    put("cpu_info", b->cpu, 0);
    put("backends", where, 0);
    put("gpu_info", b->gpu_name, 0);
    put("model_filename", b->o->model, 0);
    put("model_type", model, 0);
    put("model_size", NULL, (double)b->info.n_bytes);
    put("model_n_params", NULL, (double)b->info.n_params);
    put("n_batch", NULL, b->o->batch ? (double)b->o->batch : 512);
    put("n_ubatch", NULL, b->o->ubatch ? (double)b->o->ubatch : 512);
    put("n_threads", NULL, r->n_threads);
    put("type_k", cache_types[b->o->cache_k], 0);
    put("type_v", cache_types[b->o->cache_v], 0);
    put("n_gpu_layers", NULL, r->gpu_layers);
    put("n_prompt", NULL, r->n_prompt);
    put("n_gen", NULL, r->n_gen);
    put("n_depth", NULL, r->n_depth);
    put("test_time", when, 0);
    put("avg_ns", NULL, floor(sum_s / (double)r->n * 1e9));
    put("stddev_ns", NULL, r->n > 1 ? floor(sqrt(sum_square / (double)(r->n - 1)) * 1e9) : 0);
    put("avg_ts", NULL, mean);
    put("stddev_ts", NULL, deviation(r));
    put("pct_limit", NULL, percent_of_limit(r));
    put("read_bytes_per_s", NULL, b->peak.read_bytes);
    put("int8_macs_per_s", NULL, b->peak.int8_macs);
    put("f32_macs_per_s", NULL, b->peak.f32_macs);
    put("gpu_read_bytes_per_s", NULL, b->gpu.read_bytes);
    put("gpu_int8_macs_per_s", NULL, b->gpu.int8_macs);
    put("gpu_f32_macs_per_s", NULL, b->gpu.f32_macs);
}

static bool field_first;

static void put_json(const char *name, const char *text, double number) {
    printf("%s\"%s\": ", field_first ? "" : ", ", name);
    field_first = false;
    if (text) {
        json_string(stdout, text, strlen(text));
    } else {
        json_number(stdout, number, 12);
    }
}

static void put_csv_name(const char *name, const char *text, double number) {
    (void)text, (void)number;
    printf("%s%s", field_first ? "" : ",", name);
    field_first = false;
}

static void put_csv(const char *name, const char *text, double number) {
    (void)name;
    if (!field_first) putchar(',');
    field_first = false;
    if (!text) {
        printf("\"%.12g\"", number);
        return;
    }
    putchar('"');
    for (const char *p = text; *p; p++) printf(*p == '"' ? "\"\"" : "%c", *p);
    putchar('"');
}

static void json_object(const bench *b, const result *r) {
    field_first = true;
    putchar('{');
    fields(b, r, put_json);
    printf(", \"samples_ns\": [");
    for (size_t i = 0; i < r->n; i++) printf(i ? ", %.0f" : "%.0f", r->s[i] * 1e9);
    printf("], \"samples_ts\": [");
    for (size_t i = 0; i < r->n; i++) printf(i ? ", %.6g" : "%.6g", rate(r, i));
    printf("]}");
}

static void json_header(const bench *b) {
    (void)b;
    printf("[\n");
}

static void json_row(const bench *b, const result *r, bool first) {
    if (!first) printf(",\n");
    printf("  ");
    json_object(b, r);
}

static void json_end(void) { printf("\n]\n"); }

static void jsonl_row(const bench *b, const result *r, bool first) {
    (void)first;
    json_object(b, r);
    putchar('\n');
}

static void csv_row(const bench *b, const result *r, bool first) {
    if (first) {
        field_first = true;
        fields(b, r, put_csv_name);
        putchar('\n');
    }
    field_first = true;
    fields(b, r, put_csv);
    putchar('\n');
}

static const struct format {
    const char *name;
    void (*header)(const bench *b);
    void (*row)(const bench *b, const result *r, bool first);
    void (*end)(void);
} formats[] = {
    {"md", md_header, md_row, NULL},
    {"csv", NULL, csv_row, NULL},
    {"json", json_header, json_row, json_end},
    {"jsonl", NULL, jsonl_row, NULL},
};

/* ---- the actions ----------------------------------------------------------------------------- */

static void find_cpu(bench *b) {
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(b->cpu, sizeof b->cpu, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) != 0 || !strchr(line, ':')) continue;
        snprintf(b->cpu, sizeof b->cpu, "%.100s", strchr(line, ':') + 2);
        b->cpu[strcspn(b->cpu, "\n")] = 0;
        break;
    }
    if (f) fclose(f);
}

static bool print_ceilings(bench *b, const numbers *threads, gguf_error *err) {
    printf("| %7s | %16s | %18s | %19s |\n| ------: | ---------------: | -----------------: | ------------------: |\n",
           "threads", "read GB/s", "int8 GMAC/s", "float32 GMAC/s");
    for (size_t i = 0; i < threads->n; i++) {
        int n = threads->v[i] ? (int)threads->v[i] : cpu_default_threads();
        if (!machine_measure(n, &b->peak, err)) return false;
        printf("| %7d | %16.1f | %18.1f | %19.1f |\n", n, b->peak.read_bytes / 1e9, b->peak.int8_macs / 1e9,
               b->peak.f32_macs / 1e9);
    }
    char name[160];
    for (int i = 0; i < MAX_GPUS && b->o->gpu_layers != 0; i++) {
        if (!split_measure(i, &b->gpu, name, sizeof name, err)) return false;
        if (b->gpu.read_bytes == 0) break;
        printf("| GPU %3d | %16.1f | %18.1f | %19.1f | %s\n", i, b->gpu.read_bytes / 1e9, b->gpu.int8_macs / 1e9,
               b->gpu.f32_macs / 1e9, name);
    }
    return true;
}

enum { START_TOKENS = 8 };

/* A text of START_TOKENS tokens, as nearly as the vocabulary allows. */
static bool start_prompt(const bench *b, char *text, size_t size, gguf_error *err) {
    gguf_model_params p = {.vocab_only = true};
    gguf_model *m = gguf_model_open(b->o->model, &p, err);
    const gguf_vocab *v = m ? gguf_model_vocab(m) : NULL;
    ptrdiff_t n = 0;
    size_t used = 0;
    if (m && !v) fail(err, GGUF_ERR_MODEL, "%s: the file has no tokenizer", b->o->model);
    for (text[0] = 0; v && n >= 0 && n < START_TOKENS && used + 3 < size; used += 2) {
        int32_t *ids = NULL;
        memcpy(text + used, " a", 3);
        n = gguf_vocab_tokenize(v, text, used + 2, NULL, &ids, err);
        free(ids);
    }
    gguf_model_close(m);
    return v && n >= 0;
}

/* Seconds from exec to the first byte of text of a fresh process. */
static bool time_start(const bench *b, const char *prompt, double *seconds, gguf_error *err) {
    int ends[2];
    char first;
    if (pipe(ends) != 0) return fail(err, GGUF_ERR_RUN, "cannot open a pipe");
    double begin = clock_seconds();
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "gguf", "run", "-m", b->o->model, "-p", prompt, "-n", "1", "--temp", "0",
              "--ignore-eos", "--raw", "--jsonl", "-c", "512", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t got = child > 0 ? read(ends[0], &first, 1) : -1;
    *seconds = clock_seconds() - begin;
    close(ends[0]);
    int status = 1;
    if (child > 0) waitpid(child, &status, 0);
    return got == 1 || fail(err, GGUF_ERR_RUN, "a fresh process gave no token");
}

static bool print_start(const bench *b, gguf_error *err) {
    double s[MAX_RUNS];
    char prompt[64];
    size_t n = (size_t)b->o->repetitions;
    if (!start_prompt(b, prompt, sizeof prompt, err)) return false;
    for (size_t i = 0; i < n; i++) {
        if (!time_start(b, prompt, &s[i], err)) return false;
    }
    qsort(s, n, sizeof *s, by_value);
    printf("start to first token: %.3f s (median of %zu; best %.3f s)\n", s[n / 2], n, s[0]);
    return true;
}

static bool any(const numbers *list) {
    for (size_t i = 0; i < list->n; i++) {
        if (list->v[i]) return true;
    }
    return false;
}

static bool run_all(bench *b, const struct format *f, const numbers *prompts, const numbers *gens,
                    const numbers *depths, const numbers *threads, gguf_error *err) {
    static result r;
    bool first = true;
    if (f->header) f->header(b);
    for (size_t t = 0; t < threads->n; t++) {
        for (size_t d = 0; d < depths->n; d++) {
            for (size_t i = 0; i < prompts->n + gens->n; i++) {
                bool is_prompt = i < prompts->n;
                uint32_t n = is_prompt ? prompts->v[i] : gens->v[i - prompts->n];
                if (n == 0) continue;
                r = (result){.n_prompt = is_prompt ? n : 0,
                             .n_gen = is_prompt ? 0 : n,
                             .n_depth = depths->v[d],
                             .n_threads = threads->v[t]};
                if (!run_test(b, &r, err)) return false;
                f->row(b, &r, first);
                fflush(stdout);
                first = false;
            }
        }
    }
    if (f->end) f->end();
    return true;
}

static bool run(const options *o, gguf_error *err) {
    bench b = {.o = o};
    numbers prompts, gens, depths, threads;
    if (!parse_list("-p", o->n_prompt ? o->n_prompt : "512", &prompts, err) ||
        !parse_list("-n", o->n_gen ? o->n_gen : "128", &gens, err) ||
        !parse_list("-d", o->n_depth ? o->n_depth : "0", &depths, err) ||
        !parse_list("-t", o->n_threads ? o->n_threads : "0", &threads, err)) {
        return false;
    }
    const struct format *f = formats, *end = formats + sizeof formats / sizeof *formats;
    while (f < end && strcmp(f->name, o->format ? o->format : "md") != 0) f++;
    if (f == end) return fail(err, GGUF_ERR_USAGE, "-o takes md, csv, json or jsonl, not \"%s\"", o->format);
    find_cpu(&b);
    if (o->ceilings) return print_ceilings(&b, &threads, err);
    if (o->start) return print_start(&b, err);
    if (!any(&prompts) && !any(&gens)) return fail(err, GGUF_ERR_USAGE, "-p 0 -n 0: no test is left to run");
    gguf_model_params mp = model_params(o, "bench", false);
    b.model = gguf_model_open(o->model, &mp, err);
    if (!b.model) return false;
    b.info = gguf_model_get_info(b.model);
    const kernels *k = kernels_choose(err);
    char cpu_name[32];
    if (k) snprintf(cpu_name, sizeof cpu_name, "CPU %s", k->name);
    b.backend = cpu_name;
    bool ok = k && run_all(&b, f, &prompts, &gens, &depths, &threads, err);
    gguf_model_close(b.model);
    return ok;
}

int bench_main(const options *o) {
    gguf_error err = {0};
    return finish_stdout(run(o, &err) ? 0 : report("bench", &err));
}
