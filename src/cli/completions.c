/* Completions for the shells: of commands, of flags, of the values that a flag can have, else of files. */
#include <string.h>

#include "cli/manual.h"
#include "cli/options.h"
#include "cli/output.h"

typedef void name_fn(FILE *out, const flag *f, const char *name, size_t n);

static void each_name(FILE *out, const flag *f, name_fn *fn) {
    for (const char *p = f->names; *p; p += strspn(p, ", ")) {
        size_t n = strcspn(p, ",");
        fn(out, f, p, n);
        p += n;
    }
}

/* The words that a flag's value is one of, separated by spaces; false where it is anything. */
static bool choices(const flag *f, char *out, size_t size) {
    *out = 0;
    for (int i = 0; f->kind == OPT_CACHE && cache_types[i]; i++) {
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%s%s", i ? " " : "", cache_types[i]);
    }
    if (f->kind == OPT_CHOICE) snprintf(out, size, "%s", f->arg + value_is_optional(f->arg));
    out[strcspn(out, "]")] = 0;
    for (char *p = out; *p; p++) *p = *p == '|' ? ' ' : *p;
    return *out != 0;
}

static void each_flag(FILE *out, const command *c, void (*fn)(FILE *out, const command *c, const flag *f)) {
    size_t n;
    const flag *flags = options_flags(&n);
    for (const flag *f = flags; f < flags + n; f++) {
        if (f->commands & c->bit) fn(out, c, f);
    }
}

/* Text for the inside of single quotes; zsh's descriptions end at brackets and colons. */
static void put_quoted(FILE *out, const char *text, const char *escaped) {
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", out);
            continue;
        }
        if (strchr(escaped, *text)) fputc('\\', out);
        fputc(*text, out);
    }
}

static void put_commands(FILE *out, const char *before) {
    for (const command *c = commands; c->name; c++) fprintf(out, "%s%s", before, c->name);
}

/* ---- bash ------------------------------------------------------------------------------------ */

static void bash_name(FILE *out, const flag *f, const char *name, size_t n) {
    (void)f;
    fprintf(out, " %.*s", (int)n, name);
}

static void bash_flag(FILE *out, const command *c, const flag *f) {
    (void)c;
    each_name(out, f, bash_name);
}

static void bash_value(FILE *out, const command *c, const flag *f) {
    char words[128];
    if (!f->arg) return;
    bool known = choices(f, words, sizeof words);
    const char *between = "    ";
    for (const char *p = f->names; *p; p += strspn(p, ", "), between = " | ") {
        size_t n = strcspn(p, ",");
        fprintf(out, "%s\"%s %.*s\"", between, c->name, (int)n, p);
        p += n;
    }
    if (known) {
        fprintf(out, ") COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", words);
    } else {
        fprintf(out, ") return ;;\n");
    }
}

static void bash(FILE *out) {
    fprintf(out, "# bash completions of gguf; an empty answer leaves it to the files\n"
                 "_gguf() {\n"
                 "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                 "    local command=${COMP_WORDS[0]##*/} flags=''\n"
                 "    COMPREPLY=()\n"
                 "    command=${command#gguf-}\n"
                 "    if [ \"$command\" = gguf ]; then\n"
                 "        if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                 "            COMPREPLY=($(compgen -W '");
    put_commands(out, " ");
    fprintf(out,
            " --help --version --man --completions' -- \"$cur\"))\n"
            "            return\n"
            "        fi\n"
            "        command=${COMP_WORDS[1]}\n"
            "    fi\n"
            "    case \"$command $prev\" in\n"
            "    '--completions --completions') COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\")); return ;;\n");
    for (const command *c = commands; c->name; c++) each_flag(out, c, bash_value);
    fprintf(out, "    esac\n    [[ $cur == -* ]] || return\n    case \"$command\" in\n");
    for (const command *c = commands; c->name; c++) {
        fprintf(out, "    %s) flags='", c->name);
        each_flag(out, c, bash_flag);
        fprintf(out, "' ;;\n");
    }
    fprintf(out,
            "    esac\n    COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n}\ncomplete -o default -F _gguf gguf");
    put_commands(out, " gguf-");
    fputc('\n', out);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

static void zsh_name(FILE *out, const flag *f, const char *name, size_t n) {
    char words[128];
    fprintf(out, "        '%s%.*s%s[", f->kind == OPT_LIST ? "*" : "", (int)n, name,
            f->arg && name[1] == '-' ? "=" : "");
    put_quoted(out, f->help, "[]\\");
    fputc(']', out);
    if (f->arg) {
        fputs(value_is_optional(f->arg) ? "::" : ":", out);
        put_quoted(out, f->arg, ":\\");
        if (choices(f, words, sizeof words)) {
            fprintf(out, ":(%s)", words);
        } else {
            fprintf(out, ":_files");
        }
    }
    fprintf(out, "' \\\n");
}

static void zsh_flag(FILE *out, const command *c, const flag *f) {
    (void)c;
    each_name(out, f, zsh_name);
}

static void zsh(FILE *out) {
    fprintf(out, "#compdef gguf");
    put_commands(out, " gguf-");
    fprintf(out, "\n");
    for (const command *c = commands; c->name; c++) {
        fprintf(out, "_gguf_%s() {\n    _arguments -S \\\n", c->name);
        each_flag(out, c, zsh_flag);
        fprintf(out, "        '*:file:_files'\n}\n");
    }
    fprintf(out, "local command=${service#gguf-}\n"
                 "if [[ $service == gguf ]]; then\n"
                 "    if (( CURRENT == 2 )); then\n"
                 "        compadd --");
    put_commands(out, " ");
    fprintf(out, " --help --version --man --completions\n"
                 "        return\n"
                 "    fi\n"
                 "    command=$words[2]\n"
                 "    if [[ $command == --completions ]]; then\n"
                 "        compadd bash zsh fish\n"
                 "        return\n"
                 "    fi\n"
                 "    shift words\n"
                 "    (( CURRENT-- ))\n"
                 "fi\n"
                 "(( $+functions[_gguf_$command] )) && _gguf_$command\n");
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void fish_name(FILE *out, const flag *f, const char *name, size_t n) {
    (void)f;
    if (name[1] == '-') {
        fprintf(out, " -l %.*s", (int)n - 2, name + 2);
    } else {
        fprintf(out, " -%c %.*s", n == 2 ? 's' : 'o', (int)n - 1, name + 1);
    }
}

/* The same for "gguf-run" and for "gguf run". */
static void fish_flag(FILE *out, const command *c, const flag *f) {
    char words[128];
    for (int whole = 0; whole < 2; whole++) {
        fprintf(out, whole ? "complete -c gguf -n '__fish_seen_subcommand_from %s'" : "complete -c gguf-%s", c->name);
        each_name(out, f, fish_name);
        if (choices(f, words, sizeof words)) {
            fprintf(out, " -x -a '%s'", words);
        } else if (f->arg) {
            fprintf(out, " -r");
        }
        fprintf(out, " -d '");
        for (const char *p = f->help; *p; p++) fprintf(out, *p == '\'' || *p == '\\' ? "\\%c" : "%c", *p);
        fprintf(out, "'\n");
    }
}

static void fish(FILE *out) {
    for (const command *c = commands; c->name; c++) {
        fprintf(out, "complete -c gguf -f -n __fish_use_subcommand -a %s -d '", c->name);
        for (const char *p = c->summary; *p; p++) fprintf(out, *p == '\'' || *p == '\\' ? "\\%c" : "%c", *p);
        fprintf(out, "'\n");
        each_flag(out, c, fish_flag);
    }
    fprintf(out, "complete -c gguf -n __fish_use_subcommand -l help -l version -l man\n"
                 "complete -c gguf -n __fish_use_subcommand -l completions -x -a 'bash zsh fish'\n");
}

int print_completions(const char *shell, FILE *out) {
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shell, shells[i].name) != 0) continue;
        shells[i].print(out);
        return 0;
    }
    fprintf(stderr, "gguf: --completions takes bash, zsh or fish\n");
    return GGUF_ERR_USAGE;
}
