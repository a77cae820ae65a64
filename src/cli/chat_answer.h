/* One answer after another in a conversation: what the cache holds of it already is not computed again. */
#ifndef CLI_CHAT_ANSWER_H
#define CLI_CHAT_ANSWER_H

#include "cli/conversation.h"
#include "cli/run.h"

/* How answers went: one, or all of a chat together. */
typedef struct {
    size_t n_cached;   /* ids of the prompt that the cache held */
    size_t n_prompt;   /* ids of the prompt that were computed */
    size_t n_answer;   /* ids made */
    size_t n_thinking; /* of them, thoughts */
    double prompt_s, answer_s;
} answer_stats;

/* Zero but for `r`, `talk` and `has_template` to begin with. */
typedef struct {
    run *r;
    conversation talk;
    bool has_template;         /* else the messages are continued as text */
    size_t n_kept, n_left_out; /* messages [n_kept, n_kept + n_left_out) no longer fit into the context */
    buffer timeline;           /* int32_t: the ids whose keys and values the session holds */
    answer_stats last, all;
} chat;

/* Answers the last message and adds the answer to the conversation, cut short where Ctrl-C ends it (r->stop says why it
 * ended). Where there is no answer at all, the conversation is as it was. */
bool chat_answer(chat *c, gguf_error *err);
/* To be called after messages were removed or replaced: all that is left counts again. */
void chat_recall(chat *c);
void chat_free(chat *c);

#endif
