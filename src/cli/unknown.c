#include "cli/unknown.h"

#include <string.h>

#include "base/error.h"

/* Flags of llama.cpp that would change what comes out and that nothing here stands for. */
static const struct {
    const char *names, *instead;
} absent[] = {
    {"--grammar, --grammar-file, -j, --json-schema, -jf, --json-schema-file",
     "answers cannot be held to a grammar or schema; leave it out and check the answer"},
    {"--lora, --lora-scaled, --control-vector, --control-vector-scaled",
     "adapters cannot be used; merge them into the model"},
    {"-mm, --mmproj, -mmu, --mmproj-url, --image, --audio", "only text can be read; leave it out"},
    {"-md, --model-draft, -hfd, --hf-repo-draft",
     "no second model drafts tokens; leave it out, the answer is the same"},
    {"-hf, -hfr, --hf-repo, -hff, --hf-file, -mu, --model-url",
     "nothing is fetched here; scripts/fetch-model OWNER/REPO:QUANT fetches a model and prints its path for -m"},
    {"-i, --interactive, -if, --interactive-first", "a chat is -cnv"},
    {"--in-prefix, --in-suffix", "a message is framed by the chat template; another one: --chat-template-file"},
    {"--prompt-cache, --prompt-cache-all, --prompt-cache-ro", "no state is kept between runs; leave it out"},
};

enum { MAX_NAME = 40, UNLIKE = 1000 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Letters to insert, delete, replace or swap with their neighbour until a[0..na) is b[0..nb). */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb) {
    size_t d[MAX_NAME + 1][MAX_NAME + 1]; /* [i][j]: of the first i of a and the first j of b */
    if (na > MAX_NAME || nb > MAX_NAME) return UNLIKE;
    for (size_t i = 0; i <= na; i++) {
        for (size_t j = 0; j <= nb; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]), 1 + least(d[i - 1][j], d[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[na][nb];
}

/* How far a word is from a name: a beginning of three letters is near to the whole, and a third of the letters may be
 * wrong. */
static size_t unlikeness(const char *word, size_t n, const char *name, size_t n_name) {
    if (n >= 3 && n < n_name && memcmp(word, name, n) == 0) return 1;
    size_t d = edit_distance(word, n, name, n_name);
    return d <= n / 3 ? d : UNLIKE;
}

static const char *skip_dashes(const char *name, size_t *n) {
    size_t dashes = 0;
    while (dashes < 2 && dashes < *n && name[dashes] == '-') dashes++;
    *n -= dashes;
    return name + dashes;
}

/* The command's flag that is nearest, among all its names: name[0..n), or NULL. */
static const char *nearest_flag(const command *c, const char *given, size_t n_given, size_t *n) {
    const char *nearest = NULL, *word = skip_dashes(given, &n_given);
    size_t n_flags, best = UNLIKE;
    const flag *flags = options_flags(&n_flags);
    for (const flag *f = flags; f < flags + n_flags; f++) {
        for (const char *p = f->names; (f->commands & c->bit) && *p; p += strspn(p, ", ")) {
            size_t n_name = strcspn(p, ","), n_bare = n_name;
            const char *bare = skip_dashes(p, &n_bare);
            size_t d = unlikeness(word, n_given, bare, n_bare);
            if (d < best) {
                best = d;
                nearest = p;
                *n = n_name;
            }
            p += n_name;
        }
    }
    return nearest;
}

const command *nearest_command(const char *word) {
    const command *nearest = NULL;
    size_t best = UNLIKE;
    for (const command *c = commands; c->name; c++) {
        size_t d = unlikeness(word, strlen(word), c->name, strlen(c->name));
        if (d >= best) continue;
        best = d;
        nearest = c;
    }
    return nearest;
}

/* A command that has the flag, or NULL. */
static const command *owner(const char *given, size_t n) {
    size_t n_flags;
    const flag *flags = options_flags(&n_flags);
    for (const flag *f = flags; f < flags + n_flags; f++) {
        if (!flag_has_name(f->names, given, n)) continue;
        for (const command *c = commands; c->name; c++) {
            if (f->commands & c->bit) return c;
        }
    }
    return NULL;
}

bool fail_unknown_flag(const command *c, const char *given, size_t n, gguf_error *err) {
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        if ((c->bit & (CMD_RUN | CMD_EVAL | CMD_BENCH)) && flag_has_name(absent[i].names, given, n))
            return fail(err, GGUF_ERR_USAGE, "%.*s: %s", (int)n, given, absent[i].instead);
    }
    size_t n_near = 0;
    const command *other = owner(given, n);
    const char *near = other ? NULL : nearest_flag(c, given, n, &n_near);
    if (other) {
        return fail(err, GGUF_ERR_USAGE, "gguf-%s has no option %.*s, but gguf-%s has (see gguf-%s --help)", c->name,
                    (int)n, given, other->name, c->name);
    }
    if (near) {
        return fail(err, GGUF_ERR_USAGE, "there is no option %.*s: is it %.*s? (see gguf-%s --help)", (int)n, given,
                    (int)n_near, near, c->name);
    }
    return fail(err, GGUF_ERR_USAGE, "there is no option %.*s (see gguf-%s --help)", (int)n, given, c->name);
}
