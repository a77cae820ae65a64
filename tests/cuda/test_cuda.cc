/*
 * The CUDA backend on the tests' device against the CPU: the same logits, bit for bit, whatever the type, the batch,
 * the cache, the placement and the architecture; and what happens where there is no device, or too little memory.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gguf.h"
#include "tests/unit/check.h"

extern "C" {
#include "tests/model_maker.h"
}

static char path[] = "/tmp/gguf-cuda-XXXXXX";
static std::string warnings;

static void warn(void *, const char *message) { warnings += message; }

static bool make(const char *options) {
    gguf_error err = {};
    model_spec spec = {};
    bool ok = model_spec_parse_line(&spec, options, &err) && model_write(&spec, path, &err);
    if (!ok) fprintf(stderr, "%s: %s\n", options, err.message);
    model_spec_free(&spec);
    return ok;
}

/* How a model is run. */
struct way {
    int32_t gpu_layers;
    uint32_t n_batch;
    gguf_cache_type cache;
    uint32_t rewind; /* goes back so far once, and feeds the rest again */
    std::vector<float> shares;
};

struct sheet {
    uint32_t n_vocab;
    std::vector<float> rows;
};

static bool add_row(void *ctx, uint32_t position, const float *logits) {
    sheet *s = (sheet *)ctx;
    s->rows.resize((size_t)position * s->n_vocab);
    s->rows.insert(s->rows.end(), logits, logits + s->n_vocab);
    return true;
}

/* Logits of all n positions; none, with err set, where it fails. */
static std::vector<float> run(const way &w, uint32_t n, uint32_t *on_gpus, gguf_error *err) {
    gguf_session_params p = {};
    p.n_threads = 1;
    p.n_ctx = n;
    p.n_batch = w.n_batch;
    p.cache_k = p.cache_v = w.cache;
    p.gpu_layers = w.gpu_layers;
    p.gpu_shares = w.shares.data();
    p.n_gpu_shares = w.shares.size();
    p.warn = warn;
    warnings.clear();
    gguf_model *m = gguf_model_open(path, NULL, err);
    gguf_session *s = m ? gguf_session_open(m, &p, err) : NULL;
    sheet out = {};
    if (s) {
        out.n_vocab = gguf_model_get_info(m).n_vocab;
        if (on_gpus) *on_gpus = gguf_session_gpu_layers(s);
        std::vector<int32_t> ids(n);
        for (uint32_t i = 0; i < n; i++) ids[i] = (int32_t)((7 * i + 3) % out.n_vocab);
        bool ok = gguf_session_score(s, ids.data(), n, add_row, &out, err);
        if (ok && w.rewind)
            ok = gguf_session_rewind(s, n - w.rewind, err) &&
                 gguf_session_score(s, ids.data() + n - w.rewind, w.rewind, add_row, &out, err);
        if (!ok) out.rows.clear();
    }
    gguf_session_close(s);
    gguf_model_close(m);
    return out.rows;
}

static bool same(const std::vector<float> &a, const std::vector<float> &b) {
    return !a.empty() && a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
}

/* The model on the device in several ways gives the CPU's bits. */
static void check_model(const char *options, uint32_t n, const std::vector<way> &ways) {
    if (!make(options)) {
        CHECK(!"made");
        return;
    }
    for (const way &w : ways) {
        gguf_error err = {};
        uint32_t on_gpus = 0;
        std::vector<float> cpu = run({0, n, w.cache, 0, {}}, n, NULL, &err), gpu = run(w, n, &on_gpus, &err);
        bool ok = same(cpu, gpu) && on_gpus > 0 && warnings.empty();
        if (!ok)
            fprintf(stderr, "%s: -ngl %d, batch %u, cache %d: %u layers there, %s%s\n", options, w.gpu_layers,
                    w.n_batch, w.cache, on_gpus,
                    err.code     ? err.message
                    : gpu == cpu ? "the same"
                                 : "other logits",
                    warnings.c_str());
        CHECK(ok);
    }
}

/* Few tokens, some, and enough for the tensor cores. */
static const std::vector<way> batches = {{GGUF_GPU_ALL, 1, GGUF_CACHE_F16, 0, {}},
                                         {GGUF_GPU_ALL, 3, GGUF_CACHE_F16, 0, {}},
                                         {GGUF_GPU_ALL, 64, GGUF_CACHE_F16, 0, {}}};

static void test_types(void) {
    static const char *const types[] = {"F32",   "F16",   "BF16",    "Q4_0",  "Q4_1",  "Q5_0",   "Q5_1",  "Q8_0",
                                        "Q2_K",  "Q3_K",  "Q4_K",    "Q5_K",  "Q6_K",  "IQ4_XS", "MXFP4", "IQ4_NL",
                                        "IQ1_S", "IQ2_S", "IQ3_XXS", "TQ1_0", "NVFP4", "Q4_K_M"};
    for (const char *type : types) {
        std::string options = "--embd 256 --ff 512 --layers 1 --heads 4 --kv-heads 2 --vocab 300 --type ";
        check_model((options + type).c_str(), 17, {batches[0], batches[2]});
    }
    check_model("--embd 256 --ff 512 --layers 1 --heads 4 --kv-heads 2 --vocab 300 --type Q4_K_M", 10, batches);
    /* more rows and tokens than tiles of the tensor cores have, and rows that do not end with one */
    check_model("--embd 128 --ff 352 --layers 1 --heads 4 --vocab 300 --type Q4_1", 70,
                {batches[2], {GGUF_GPU_ALL, 70, GGUF_CACHE_F16, 0, {}}});
    check_model("--embd 256 --ff 256 --layers 1 --heads 4 --vocab 300 --type Q2_K", 70,
                {{GGUF_GPU_ALL, 70, GGUF_CACHE_F16, 0, {}}});
}

static void test_caches(void) {
    std::vector<way> ways;
    for (gguf_cache_type c : {GGUF_CACHE_F16, GGUF_CACHE_F32, GGUF_CACHE_BF16, GGUF_CACHE_Q8_0}) {
        ways.push_back({GGUF_GPU_ALL, 1, c, 5, {}});
        ways.push_back({GGUF_GPU_ALL, 9, c, 5, {}});
    }
    check_model("--embd 64 --ff 64 --layers 2 --heads 2 --vocab 300 --type Q8_0", 20, ways);
}

/* Positions of several of attention's chunks, which a single token has split over thread blocks, and a captured graph
 * that has to grow. */
static void test_long(void) {
    const std::vector<way> ways = {{GGUF_GPU_ALL, 1, GGUF_CACHE_F16, 0, {}},
                                   {GGUF_GPU_ALL, 200, GGUF_CACHE_Q8_0, 3, {}}};
    check_model("--embd 32 --ff 32 --layers 1 --heads 1 --vocab 300 --ctx 1024 --type Q8_0", 600, ways);
}

static void test_placement(void) {
    std::vector<way> ways;
    for (int32_t layers : {1, 2, 4, 5, 99}) ways.push_back({layers, 4, GGUF_CACHE_F16, 0, {}});
    ways.push_back({GGUF_GPU_AUTO, 4, GGUF_CACHE_F16, 0, {}});
    setenv("GGUF_EMULATED_GPUS", "3", 1);
    ways.push_back({GGUF_GPU_ALL, 4, GGUF_CACHE_F16, 4, {}});
    ways.push_back({4, 1, GGUF_CACHE_F16, 0, {3, 1}});
    ways.push_back({GGUF_GPU_ALL, 1, GGUF_CACHE_F16, 0, {0, 1}});
    check_model("--embd 64 --ff 64 --layers 4 --heads 2 --vocab 300 --type Q8_0", 10, ways);
    unsetenv("GGUF_EMULATED_GPUS");
}

static void test_architectures(void) {
    static const char *const shapes[] = {"--arch qwen3",      "--arch gemma2",   "--arch gemma3",   "--arch phi2",
                                         "--arch mpt",        "--arch bloom",    "--arch gpt2",     "--arch starcoder2",
                                         "--arch command-r",  "--arch apertus",  "--arch lfm2",     "--arch llama4",
                                         "--arch gpt-oss",    "--arch qwen3moe", "--arch qwen2moe", "--arch deepseek2",
                                         "--arch granitemoe", "--arch minicpm"};
    for (const char *shape : shapes) {
        std::string options =
            std::string(shape) + " --embd 64 --ff 32 --layers 2 --heads 4 --kv-heads 2 --ctx 64 --vocab 300";
        check_model((options + " --type Q8_0").c_str(), 18, {batches[0], batches[2]});
        check_model((options + " --type F16").c_str(), 5, {batches[1]});
    }
    /* windows that are rings */
    check_model("--arch gpt-oss --embd 64 --ff 32 --layers 2 --heads 4 --vocab 300 --ctx 1024 --type Q8_0", 530,
                {{GGUF_GPU_ALL, 100, GGUF_CACHE_F16, 0, {}}});
}

/* The same place is named as on the CPU. */
static void test_not_finite(void) {
    gguf_error cpu = {}, gpu = {};
    CHECK(make("--embd 64 --ff 64 --layers 3 --heads 2 --vocab 300 --type F32 --set "
               "llama.attention.layer_norm_rms_epsilon=f32:-1e30"));
    CHECK(run({0, 4, GGUF_CACHE_F16, 0, {}}, 9, NULL, &cpu).empty());
    for (int32_t layers : {1, (int)GGUF_GPU_ALL}) {
        gpu = {};
        CHECK(run({layers, 4, GGUF_CACHE_F16, 0, {}}, 9, NULL, &gpu).empty());
        if (strcmp(cpu.message, gpu.message) != 0) fprintf(stderr, "%s\n%s\n", cpu.message, gpu.message);
        CHECK(cpu.code == gpu.code && strcmp(cpu.message, gpu.message) == 0);
    }
}

static void test_no_device(void) {
    gguf_error err = {};
    uint32_t on_gpus = 9;
    setenv("GGUF_EMULATED_GPUS", "0", 1);
    CHECK(make("--embd 64 --ff 64 --layers 3 --heads 2 --vocab 300 --type Q8_0"));
    std::vector<float> cpu = run({0, 8, GGUF_CACHE_F16, 0, {}}, 8, NULL, &err);
    CHECK(warnings.empty());
    CHECK(same(cpu, run({GGUF_GPU_AUTO, 8, GGUF_CACHE_F16, 0, {}}, 8, &on_gpus, &err)) && on_gpus == 0);
    CHECK(warnings.find("no GPU can be used, the CPU computes: no CUDA-capable device") != std::string::npos);
    CHECK(run({1, 8, GGUF_CACHE_F16, 0, {}}, 8, NULL, &err).empty() && err.code == GGUF_ERR_USAGE);
    CHECK(strstr(err.message, "no CUDA-capable device is detected; leave -ngl out"));
    unsetenv("GGUF_EMULATED_GPUS");
}

static void test_little_memory(void) {
    gguf_error err = {};
    uint32_t on_gpus = 0;
    CHECK(make("--embd 256 --ff 2048 --layers 12 --heads 4 --vocab 300 --type F32"));
    std::vector<float> cpu = run({0, 8, GGUF_CACHE_F16, 0, {}}, 6, NULL, &err);
    setenv("GGUF_EMULATED_MIB", "96", 1);
    CHECK(same(cpu, run({GGUF_GPU_AUTO, 8, GGUF_CACHE_F16, 0, {}}, 6, &on_gpus, &err)));
    CHECK(on_gpus > 0 && on_gpus < 12);
    CHECK(run({GGUF_GPU_ALL, 8, GGUF_CACHE_F16, 0, {}}, 6, NULL, &err).empty() && err.code == GGUF_ERR_MEMORY);
    CHECK(strstr(err.message, "13 layers need ") && strstr(err.message, "choose fewer (-ngl)"));
    unsetenv("GGUF_EMULATED_MIB");
}

int main(void) {
    int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    test_types();
    test_caches();
    test_long();
    test_placement();
    test_architectures();
    test_not_finite();
    test_no_device();
    test_little_memory();
    unlink(path);
    return check_summary();
}
