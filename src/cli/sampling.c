#include "cli/sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* "15043+1", "15043-0.5", "15043-inf". */
static bool read_bias(const char *text, gguf_logit_bias *out, gguf_error *err) {
    char *sign, *end;
    long id = strtol(text, &sign, 10);
    double bias = sign != text && (*sign == '+' || *sign == '-') ? strtod(sign, &end) : NAN;
    if (isnan(bias) || end == sign || *end || id < 0 || id > INT32_MAX)
        return fail(err, GGUF_ERR_USAGE,
                    "-l takes an id and what is added to its logit, such as 15043+1 or 15043-inf, not \"%s\"", text);
    *out = (gguf_logit_bias){(int32_t)id, (float)bias};
    return true;
}

/* Given ones take the place of the default ones; "none": there are none. */
static void choose_breakers(const options *o, gguf_sampler_params *p, const char **own) {
    if (o->dry_breakers.n == 0) return;
    size_t n = 0;
    for (int64_t i = 0; i < o->dry_breakers.n; i++) {
        const char *text = o->dry_breakers.items[i];
        if (strcmp(text, "none") == 0) {
            n = 0;
        } else {
            own[n++] = text;
        }
    }
    p->dry_breakers = own;
    p->n_dry_breakers = n;
}

gguf_sampler *open_sampler(const options *o, const gguf_vocab *vocab, uint64_t seed, gguf_error *err) {
    gguf_logit_bias bias[MAX_LIST];
    const char *breakers[MAX_LIST];
    for (int64_t i = 0; i < o->logit_bias.n; i++) {
        if (!read_bias(o->logit_bias.items[i], &bias[i], err)) return NULL;
    }
    gguf_sampler_params p = gguf_sampler_defaults();
    p.penalty_last_n = (int32_t)o->repeat_last_n;
    p.penalty_repeat = (float)o->repeat_penalty;
    p.penalty_frequency = (float)o->frequency_penalty;
    p.penalty_presence = (float)o->presence_penalty;
    p.dry_multiplier = (float)o->dry_multiplier;
    p.dry_base = (float)o->dry_base;
    p.dry_allowed_length = (int32_t)o->dry_allowed_length;
    p.dry_last_n = (int32_t)o->dry_penalty_last_n;
    choose_breakers(o, &p, breakers);
    p.vocab = vocab;
    p.top_n_sigma = (float)o->top_n_sigma;
    p.top_k = (int32_t)o->top_k;
    p.typical_p = (float)o->typical;
    p.top_p = (float)o->top_p;
    p.min_p = (float)o->min_p;
    p.xtc_probability = (float)o->xtc_probability;
    p.xtc_threshold = (float)o->xtc_threshold;
    p.temperature = o->temp > 0 ? (float)o->temp : 0;
    p.dynatemp_range = (float)o->dynatemp_range;
    p.dynatemp_exponent = (float)o->dynatemp_exp;
    p.mirostat = (int)o->mirostat;
    p.mirostat_tau = (float)o->mirostat_ent;
    p.mirostat_eta = (float)o->mirostat_lr;
    p.bias = bias;
    p.n_bias = (size_t)o->logit_bias.n;
    p.samplers = o->samplers;
    p.sampler_letters = o->sampling_seq;
    p.seed = seed;
    return gguf_sampler_open(gguf_vocab_size(vocab), &p, err);
}
