/* gguf: one program; its first argument or the name it is called by picks the command. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/manual.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/unknown.h"

const command commands[] = {
    {"run", CMD_RUN, "-m model.gguf [-p \"prompt\"] [options]",
     "Prints the model's answer to a prompt, or its continuation. Without a prompt, on a terminal, it is a chat.",
     "Examples:\n"
     "  gguf-run -m model.gguf\n"
     "  gguf-run -m model.gguf -p \"Once upon a time\" -n 100\n"
     "  git diff | gguf-run -m model.gguf -f - -p \"\\n\\nA summary of this change:\" --temp 0\n"
     "  gguf-run -m model.gguf -p \"2 + 2 =\" -n 8 --json | jq -r .text",
     run_main},
    {"inspect", CMD_INSPECT, "model.gguf [options]",
     "Shows what stands in a GGUF file, and whether it can be run here.",
     "Examples:\n"
     "  gguf-inspect model.gguf\n"
     "  gguf-inspect model.gguf --tensors | sort -nk4\n"
     "  gguf-inspect model.gguf --json | jq .metadata\n\n"
     "A tensor is one line: name, shape, type, bytes, offset, shard. Several flags print one after the other, in the\n"
     "order above.",
     inspect_main, .n_words = 1},
    {"eval", CMD_EVAL, "-m model.gguf -f text [options]",
     "Measures a model: perplexity of a text, divergence from another model, log-probabilities, logits.",
     "Examples:\n"
     "  gguf-eval -m model.gguf -f book.txt\n"
     "  gguf-eval -m f16.gguf -f book.txt --kl-base base.kl; gguf-eval -m q4.gguf --kl base.kl\n"
     "  printf '%s\\n' \"It rains.\" \"Rains it.\" | gguf-eval -m model.gguf --score\n"
     "  gguf-eval -m model.gguf --ids 1,300,301 --logits logits.f32\n"
     "  gguf-eval -m model.gguf --ids 1,300 --dump blk.0.attn_out",
     eval_main},
    {"tokenize", CMD_TOKENIZE, "-m model.gguf -p \"text\" [options]", "Turns text into token ids, and ids into text.",
     "Examples:\n"
     "  gguf-tokenize -m model.gguf -p \"Hello world\"\n"
     "  gguf-tokenize -m model.gguf --ids < book.txt | gguf-tokenize -m model.gguf --detokenize",
     tokenize_main},
    {"bench", CMD_BENCH, "-m model.gguf [options]",
     "Measures how fast a model reads prompts and makes text, against what the machine can do.",
     "Lists take commas: -p 128,512 -d 0,4096 -t 1,2. The last column is what part of the machine's limit was reached: "
     "for\n"
     "tg (text generation) bytes read against the read rate of memory, for pp (prompts) multiply-adds against the "
     "int8\n"
     "rate, both measured in the same run.",
     bench_main},
    {"quantize", CMD_QUANTIZE, "[options] in.gguf out.gguf TYPE [THREADS]",
     "Writes the same model in other tensor types.",
     "TYPE names a mix, as in llama.cpp: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q4_K_M (the usual choice), "
     "Q4_K_S,\n"
     "Q3_K_L, Q3_K_M, Q3_K_S, Q2_K, Q2_K_S, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0, MXFP4, MXFP4_MOE, "
     "or\n"
     "COPY, which joins the files of a split model. Norms, biases and routers stay as they are; rows that do not fill\n"
     "a type's blocks get a near type, which is said. The old file under the output's name stands until the new one "
     "is\n"
     "whole.\n\n"
     "Examples:\n"
     "  gguf-quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M\n"
     "  gguf-quantize --dry-run --tensor-type 'ffn_down=Q6_K' model-f16.gguf - Q4_K_S",
     quantize_main, .n_words = MAX_WORDS},
    {0},
};

static const command *find_command(const char *name) {
    for (const command *c = commands; c->name; c++) {
        if (strcmp(name, c->name) == 0) return c;
    }
    return NULL;
}

static void overview(FILE *out) {
    fprintf(
        out,
        "gguf %s: runs language models in GGUF files.\n\nUsage: gguf COMMAND [options], or gguf-COMMAND [options]\n\n",
        GGUF_VERSION);
    for (const command *c = commands; c->name; c++) fprintf(out, "  %-10s %s\n", c->name, c->summary);
    fprintf(out, "\ngguf COMMAND --help tells a command's options; gguf --man prints the manual, gguf --completions\n"
                 "bash|zsh|fish a shell's completions.\n");
}

static void say_unknown(const char *word) {
    const command *near = nearest_command(word);
    fprintf(stderr, "gguf: no command is called \"%s\"%s%s%s\n\n", word, near ? ": is it " : "", near ? near->name : "",
            near ? "?" : "");
}

/* A stream that the caller has closed must not become the number of a file that is opened later: what is printed would
 * go into it. Writing to this one fails as writing to a closed one does. */
static void hold_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDONLY) != fd) _exit(GGUF_ERR_RUN);
    }
}

static const char *program_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* `gguf` itself: a first argument that is no command, and what follows it. */
static int run_program(const char *word, const char *arg) {
    if (strcmp(word, "--version") == 0) {
        printf("gguf %s\n", GGUF_VERSION);
    } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        overview(stdout);
    } else if (strcmp(word, "--man") == 0) {
        print_manual(stdout);
    } else if (strcmp(word, "--completions") == 0) {
        return finish_stdout(print_completions(arg, stdout));
    } else {
        if (*word) say_unknown(word);
        overview(stderr);
        return GGUF_ERR_USAGE;
    }
    return finish_stdout(0);
}

int main(int argc, char **argv) {
    hold_streams();
    gguf_catch_file_faults();
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write */
    const char *name = program_name(argc > 0 ? argv[0] : "gguf"), *word = argc > 1 ? argv[1] : "";
    const command *c = strncmp(name, "gguf-", 5) == 0 ? find_command(name + 5) : NULL;
    int first = c ? 1 : 2;
    if (!c) c = find_command(word);
    if (!c) return run_program(word, argc > 2 ? argv[2] : "");
    options o;
    gguf_error err = {0};
    if (!options_parse(c, argc, argv, first, &o, &err)) return report(c->name, &err);
    if (o.help) options_help(c, stdout);
    if (o.version) printf("gguf %s\n", GGUF_VERSION);
    if (o.help || o.version) return finish_stdout(0);
    return c->main(&o);
}
