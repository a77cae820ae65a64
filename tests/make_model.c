/* make-model: a model with random weights, as a file. See model_maker.h. */
#include <stdio.h>
#include <string.h>

#include "model_maker.h"

int main(int argc, char **argv) {
    gguf_error err = {0};
    model_spec spec = {0};
    const char *path = NULL;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        model_spec_help();
        return 0;
    }
    bool parsed = model_spec_parse(&spec, argc - 1, argv + 1, &path, &err);
    if (parsed && !path) fail(&err, GGUF_ERR_USAGE, "no file to write is named; see make-model --help");
    bool ok = parsed && path && model_write(&spec, path, &err);
    model_spec_free(&spec);
    if (!ok) fprintf(stderr, "make-model: %s\n", err.message);
    return (int)err.code;
}
