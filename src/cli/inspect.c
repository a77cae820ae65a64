/*
 * gguf-inspect: what stands in a file. Each flag is an action, a function that prints one thing; they are in the files
 * beside this one:
 *   inspect_summary.c  the default           inspect_explain.c  --explain, --plan
 *   inspect_list.c     --metadata, --tensors, --template
 *   inspect_data.c     --check, --hash, --tensor: those that read the weights
 *   inspect_json.c     --json                inspect_facts.c, inspect_show.c: what all of them use
 */
#include "cli/inspect.h"

#include <stdlib.h>
#include <unistd.h>

#include "cli/output.h"

enum { MAX_ACTIONS = 12 };

/* The actions that the options ask for, in the order in which they are printed; returns their count. */
static size_t choose_actions(const options *o, inspect_fn *chosen[MAX_ACTIONS]) {
    bool json = o->json || o->json_arrays; /* holds what the lists show, and is one object by itself */
    const struct {
        bool wanted;
        inspect_fn *action;
    } all[] = {
        {json, inspect_json},
        {o->metadata && !json, inspect_metadata},
        {o->tensors && !json, inspect_tensors},
        {o->show_template && !json, inspect_template},
        {o->explain, inspect_explain},
        {o->plan && !json, inspect_plan},
        {o->check, inspect_check},
        {o->hash, inspect_hash},
        {o->tensor != NULL, inspect_values},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].wanted) chosen[n++] = all[i].action;
    }
    if (n == 0) chosen[n++] = inspect_summary;
    return n;
}

static bool check_usage(const options *o, gguf_error *err) {
    if (o->values && !o->tensor) return fail(err, GGUF_ERR_USAGE, "--values needs --tensor NAME: whose values?");
    if ((o->json || o->json_arrays) && (o->explain || o->check || o->hash || o->tensor)) {
        return fail(err, GGUF_ERR_USAGE,
                    "--json prints one object and cannot stand with --explain, --check, --hash or --tensor");
    }
    return true;
}

/* Runs one action. A terminal gets its text cleaned of control characters, so it is kept in memory until the action
 * has ended; everything else gets it at once, as it is. */
static bool run_action(inspection *in, inspect_fn *action, gguf_error *err) {
    if (!isatty(STDOUT_FILENO)) {
        in->out = stdout;
        return action(in, err);
    }
    char *text = NULL;
    size_t n = 0;
    in->out = open_memstream(&text, &n);
    if (!in->out) return fail_memory(err, "the text to print", 0);
    bool ok = action(in, err), whole = fclose(in->out) == 0;
    text_stream screen = text_stream_to(stdout);
    if (whole) text_write(&screen, text, n);
    text_end(&screen);
    free(text);
    return whole ? ok : fail_memory(err, "the text to print", n);
}

int inspect_main(const options *o) {
    inspect_fn *actions[MAX_ACTIONS];
    gguf_error err = {0};
    if (!check_usage(o, &err)) return report("inspect", &err);
    static char name[] = "inspect";
    inspection in = {.o = o};
    const gguf_file_params params = {.no_mmap = o->no_mmap, .warn = print_warning, .warn_ctx = name};
    in.file = gguf_file_open(o->model, &params, &in.file_error);
    if (in.file) gather_facts(&in);

    size_t n = choose_actions(o, actions);
    size_t n_printed = 0;
    int code = 0;
    for (size_t i = 0; i < n; i++) {
        if (!in.file && actions[i] != inspect_explain) continue; /* which alone can say something about such a file */
        if (n_printed++ > 0) putchar('\n');
        gguf_error why = {0};
        if (!run_action(&in, actions[i], &why)) {
            fflush(stdout); /* so that the message stands behind what was printed */
            int failed = why.code == GGUF_OK ? GGUF_ERR_MODEL : report("inspect", &why);
            if (code == 0) code = failed;
        }
    }
    if (!in.file && !o->explain) code = report("inspect", &in.file_error);
    gguf_file_close(in.file);
    return finish_stdout(code);
}
