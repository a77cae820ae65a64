/* What a run and a chat share: a model with its session and sampler, and making and showing one answer. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "cli/answer.h"
#include "cli/options.h"
#include "cli/output.h"

/* Everything of one run. */
typedef struct {
    const options *o;
    gguf_model *model;
    const gguf_vocab *vocab;
    gguf_session *session;
    gguf_sampler *sampler;
    uint64_t seed;
    int32_t *ids; /* the prompt's */
    size_t n_ids;
    int32_t *banned; /* tokens that --ignore-eos rules out */
    size_t n_banned;
    text_stream out;
    gguf_detokenizer text_state;
    text_stream aside; /* the thinking */
    answer said;
    size_t shown; /* of its text, printed */
    size_t thought_shown;
    buffer answer_ids; /* int32_t each */
    int64_t n_answer;
    int64_t n_thought; /* tokens of the thinking */
    int32_t *forced;   /* the ids that end the thinking */
    size_t n_forced, next_forced;
    const char *stop; /* why it ended: eos stop length context interrupt timeout */
    double prompt_s, gen_s;
} run;

/* Opens model, session and sampler. */
bool run_open(run *r, gguf_error *err);
/* Fills `banned` where --ignore-eos asks for it. */
bool run_ban_ends(run *r, gguf_error *err);
/* One token after another, from the logits of the session's last id, until something ends it: sets r->stop. */
bool run_generate(run *r, gguf_error *err);
/* To be called after the last token: what is said next begins a line. */
void run_end_thinking(run *r);
void run_print_timings(const run *r);
void run_close(run *r);
/* Seconds of a clock that only goes forward. */
double run_now(void);

/* A chat, for a run whose model is open: messages of a terminal or stdin, after `first` where it is not empty. Returns
 * the exit code. */
int chat_main(run *r, const buffer *first);

#endif
