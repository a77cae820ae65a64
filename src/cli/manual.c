#include "cli/manual.h"

#include <string.h>

#include "cli/options.h"

/* Text for roff: its escape character is '\', '-' is a hyphen unless escaped, and a line's first '.' or ''' a command.
 */
static void put(FILE *out, const char *text) {
    bool fresh = true;
    for (const char *p = text; *p; p++) {
        if (fresh && (*p == '.' || *p == '\'')) fputs("\\&", out);
        if (*p == '\\') {
            fputs("\\e", out);
        } else if (*p == '-') {
            fputs("\\-", out);
        } else {
            fputc(*p, out);
        }
        fresh = *p == '\n';
    }
}

static void put_line(FILE *out, const char *text) {
    put(out, text);
    fputc('\n', out);
}

static void put_flag(FILE *out, const flag *f) {
    fprintf(out, ".TP\n\\fB");
    put(out, f->names);
    fprintf(out, "\\fR");
    if (f->arg) {
        fprintf(out, " \\fI");
        put(out, f->arg);
        fprintf(out, "\\fR");
    }
    fputc('\n', out);
    put(out, f->help);
    if (f->env) {
        fprintf(out, " (");
        put(out, f->env);
        fputc(')', out);
    }
    fputc('\n', out);
}

static void put_command(FILE *out, const command *c) {
    fprintf(out, ".SS gguf\\-%s\n.B gguf\\-%s\n", c->name, c->name);
    put_line(out, c->usage);
    fprintf(out, ".PP\n");
    put_line(out, c->summary);
    size_t n;
    const flag *flags = options_flags(&n);
    for (const flag *f = flags; f < flags + n; f++) {
        if (f->commands & c->bit) put_flag(out, f);
    }
    if (!c->more) return;
    fprintf(out, ".PP\n.nf\n");
    put_line(out, c->more);
    fprintf(out, ".fi\n");
}

static void put_environment(FILE *out) {
    static const char *const others[][2] = {
        {"GGUF_CPU",
         "scalar, avx2, avxvnni, avx512, amx, neon or i8mm: which instructions to use instead of the best that "
         "are there. The "
         "results are the same."},
        {"NO_COLOR", "when set, nothing is coloured."},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        fprintf(out, ".TP\n.B ");
        put_line(out, others[i][0]);
        put_line(out, others[i][1]);
    }
    fprintf(out, ".TP\n.B LLAMA_ARG_*\n");
    put_line(out,
             "What a flag would hold that is not given, under the names that llama.cpp reads; each stands with its "
             "flag. Of switches on, true, enabled, 1 or off, false, disabled, 0; LLAMA_ARG_NO_* count by being "
             "there.");
}

void print_manual(FILE *out) {
    fprintf(out, ".TH GGUF 1 \"\" \"gguf %s\" \"User Commands\"\n.SH NAME\ngguf", GGUF_VERSION);
    for (const command *c = commands; c->name; c++) fprintf(out, ", gguf\\-%s", c->name);
    fprintf(out, " \\- run language models in GGUF files\n.SH SYNOPSIS\n");
    for (const command *c = commands; c->name; c++) {
        fprintf(out, ".B gguf\\-%s\n", c->name);
        put_line(out, c->usage);
        fprintf(out, ".br\n");
    }
    fprintf(out, ".B gguf\n\\fICOMMAND\\fR [options]\n.br\n.B gguf\n\\-\\-man | \\-\\-completions "
                 "bash|zsh|fish\n.SH DESCRIPTION\n");
    put_line(out, "gguf COMMAND and gguf-COMMAND are the same. Results go to stdout; progress, timings and warnings to "
                  "stderr. --opt=value and --opt value are the same, _ in a long option is read as -, and -- ends the "
                  "options.");
    fprintf(out, ".SH COMMANDS\n");
    for (const command *c = commands; c->name; c++) put_command(out, c);
    fprintf(out, ".SH EXIT STATUS\n");
    for (const exit_code *e = exit_codes; e->what; e++) {
        fprintf(out, ".TP\n.B %d\n", e->code);
        put_line(out, e->what);
    }
    fprintf(out, ".SH ENVIRONMENT\n");
    put_environment(out);
    fprintf(out, ".SH FILES\n");
    put_line(out, "A model is one GGUF file, or the files of a split model (name-00001-of-00003.gguf), of which any is "
                  "given. It is mapped, so it must not be changed while it runs. Files that are written (--logits, "
                  "--kl-base, gguf-quantize's) replace an old one only when they are whole.");
    fprintf(out, ".SH EXAMPLES\n.nf\n");
    put_line(out, "gguf-run -m model.gguf -p \"Once upon a time\" -n 100\n"
                  "git diff | gguf-run -m model.gguf -f - -p \"\\n\\nA summary of this change:\" --temp 0\n"
                  "gguf-inspect model.gguf --explain && gguf-bench -m model.gguf\n"
                  "gguf-eval -m model.gguf -f book.txt --json | jq .ppl");
    fprintf(out, ".fi\n");
}
