#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/input.h"
#include "cli/unknown.h"

#define F(field) offsetof(options, field)
#define RUN_EVAL (CMD_RUN | CMD_EVAL)
#define RUNS     (CMD_RUN | CMD_EVAL | CMD_BENCH)
#define TEXT_IN  (CMD_RUN | CMD_TOKENIZE)
#define LOADS    (CMD_RUN | CMD_EVAL | CMD_BENCH | CMD_TOKENIZE)
#define ONE_FILE (CMD_ALL & ~CMD_QUANTIZE)

/* clang-format off */
static const flag flags[] = {
    {ONE_FILE,     "-m, --model", "FILE", OPT_TEXT, F(model), 0, 0, "LLAMA_ARG_MODEL", "the GGUF file, or any file of a split model"},

    {TEXT_IN,      "-p, --prompt", "TEXT", OPT_TEXT, F(prompt), 0, 0, NULL, "the text; without -p and -f it is read from stdin"},
    {TEXT_IN | CMD_EVAL, "-f, --file", "FILE", OPT_TEXT, F(file), 0, 0, NULL, "read the text from FILE (- is stdin); it comes before -p"},
    {TEXT_IN,      "-e, --escape", NULL, OPT_ON, F(escapes), 0, 0, NULL, "turn \\n \\t \\\\ \\\" \\xHH in -p, -r and --dry-sequence-breaker into their bytes (on by default)"},
    {TEXT_IN,      "--no-escape", NULL, OPT_OFF, F(escapes), 0, 0, NULL, "leave them as they are"},
    {TEXT_IN | CMD_EVAL, "--parse-special", NULL, OPT_ON, F(parse_special), 0, 0, NULL, "names of control tokens in the text become these tokens"},
    {TEXT_IN | CMD_EVAL, "--no-bos", NULL, OPT_ON, F(no_bos), 0, 0, NULL, "leave out the BOS and EOS that the model asks for"},

    {CMD_RUN,      "-n, --predict, --n-predict", "N", OPT_INT, F(n_predict), -2, 1e9, "LLAMA_ARG_N_PREDICT", "tokens to generate at most (-1: until the model ends)"},
    {CMD_RUN,      "--raw, -no-cnv, --no-conversation", NULL, OPT_ZERO, F(conversation), 0, 0, NULL, "complete the text as it is, without a chat template"},
    {CMD_RUN,      "-cnv, --conversation", NULL, OPT_ONE, F(conversation), 0, 0, NULL, "chat, also where there is a prompt, which is the first message, or no terminal: then a line of stdin is a message"},
    {CMD_RUN,      "-r, --reverse-prompt, --stop", "TEXT", OPT_LIST, F(stops), 0, 0, NULL, "stop where the answer reaches TEXT, which is not printed; may be given again"},
    {CMD_RUN,      "--ignore-eos", NULL, OPT_ON, F(ignore_eos), 0, 0, NULL, "never choose a token that ends the text"},
    {CMD_RUN,      "--echo", NULL, OPT_ON, F(echo), 0, 0, NULL, "print the prompt before the completion"},
    {CMD_RUN,      "--no-display-prompt", NULL, OPT_OFF, F(echo), 0, 0, NULL, "do not print the prompt (the default)"},
    {CMD_RUN,      "-sp, --special", NULL, OPT_ON, F(special), 0, 0, NULL, "print control tokens by their names"},
    {CMD_RUN,      "--json", NULL, OPT_ON, F(json), 0, 0, NULL, "print one JSON object at the end"},
    {CMD_RUN,      "--jsonl", NULL, OPT_ON, F(jsonl), 0, 0, NULL, "print one JSON object a token"},
    {CMD_RUN,      "--logprobs", "N", OPT_INT, F(logprobs), 0, 1000, NULL, "with --jsonl: the N likeliest tokens of each step"},
    {CMD_RUN,      "--timings, --show-timings, --perf", NULL, OPT_ONE, F(timings), 0, 0, "LLAMA_ARG_SHOW_TIMINGS", "print timings on stderr (on by default on a terminal)"},
    {CMD_RUN,      "--no-timings, --no-show-timings, --no-perf, --log-disable", NULL, OPT_ZERO, F(timings), 0, 0, "LLAMA_ARG_NO_SHOW_TIMINGS", "print no timings"},
    {CMD_RUN,      "--profile", NULL, OPT_ON, F(profile), 0, 0, NULL, "print time and bytes by kind of operation on stderr"},
    {CMD_RUN,      "--timeout", "S", OPT_REAL, F(timeout), 0, 1e9, NULL, "stop after S seconds with exit code 6; what was made is printed"},
    {CMD_RUN,      "-st, --single-turn", NULL, OPT_ON, F(single_turn), 0, 0, NULL, "end a chat after the first answer"},
    {CMD_RUN,      "--keep", "N", OPT_INT, F(keep), -1, 1e9, NULL, "tokens of the beginning that stay when a chat's context is full (-1: the first turn)"},
    {CMD_RUN,      "--context-shift", NULL, OPT_ON, F(context_shift), 0, 0, NULL, "leave out a chat's oldest turns when the context is full"},
    {CMD_RUN,      "--no-context-shift", NULL, OPT_OFF, F(context_shift), 0, 0, NULL, "end the answer there (the default)"},
    {CMD_RUN,      "--simple-io", NULL, OPT_ON, F(simple_io), 0, 0, NULL, "read a chat's messages as plain lines, without line editing"},
    {CMD_RUN,      "-v, --verbose", NULL, OPT_ON, F(verbose), 0, 0, NULL, "say on stderr what is loaded and used"},

    {CMD_RUN,      "-s, --seed", "N", OPT_INT, F(seed), -1, 9e15, NULL, "seed of the sampler (-1: draw one)"},
    {CMD_RUN,      "--temp, --temperature", "X", OPT_REAL, F(temp), -1e6, 1e6, NULL, "temperature; 0 takes the likeliest token"},
    {CMD_RUN,      "--top-k", "N", OPT_INT, F(top_k), -1, 1e9, "LLAMA_ARG_TOP_K", "keep the N likeliest tokens (0: all)"},
    {CMD_RUN,      "--top-p", "X", OPT_REAL, F(top_p), 0, 1e6, NULL, "keep the likeliest tokens that make up X (1: all)"},
    {CMD_RUN,      "--min-p", "X", OPT_REAL, F(min_p), 0, 1, NULL, "keep tokens at least X times as likely as the first (0: all)"},
    {CMD_RUN,      "--typical, --typical-p", "X", OPT_REAL, F(typical), 0, 1e6, NULL, "locally typical sampling (1: off)"},
    {CMD_RUN,      "--top-n-sigma, --top-nsigma", "X", OPT_REAL, F(top_n_sigma), -1, 1e6, NULL, "keep tokens within X standard deviations of the likeliest (-1: off)"},
    {CMD_RUN,      "--xtc-probability", "X", OPT_REAL, F(xtc_probability), 0, 1, NULL, "how often the likeliest tokens are left out (0: off)"},
    {CMD_RUN,      "--xtc-threshold", "X", OPT_REAL, F(xtc_threshold), 0, 1, NULL, "those at least this likely, but the last of them (above 0.5: off)"},
    {CMD_RUN,      "--repeat-penalty", "X", OPT_REAL, F(repeat_penalty), 1e-6, 1e6, NULL, "make repeated tokens less likely (1: off)"},
    {CMD_RUN,      "--repeat-last-n", "N", OPT_INT, F(repeat_last_n), -1, 1 << 20, NULL, "tokens that the penalties look back at (0: none, -1: all)"},
    {CMD_RUN,      "--presence-penalty", "X", OPT_REAL, F(presence_penalty), -1e6, 1e6, NULL, "taken from the logits of tokens seen (0: off)"},
    {CMD_RUN,      "--frequency-penalty", "X", OPT_REAL, F(frequency_penalty), -1e6, 1e6, NULL, "the same for each time they were seen (0: off)"},

    {CMD_RUN,      "--dry-multiplier", "X", OPT_REAL, F(dry_multiplier), -1e6, 1e6, NULL, "make tokens that go on with a repetition less likely (DRY; 0: off)"},
    {CMD_RUN,      "--dry-base", "X", OPT_REAL, F(dry_base), 1, 1e6, NULL, "by multiplier * base^(length - allowed length)"},
    {CMD_RUN,      "--dry-allowed-length", "N", OPT_INT, F(dry_allowed_length), 0, 1 << 20, NULL, "repetitions up to this length cost nothing"},
    {CMD_RUN,      "--dry-penalty-last-n", "N", OPT_INT, F(dry_penalty_last_n), -1, 1 << 20, NULL, "tokens that DRY looks back at (0: none, -1: all)"},
    {CMD_RUN,      "--dry-sequence-breaker", "TEXT", OPT_LIST, F(dry_breakers), 0, 0, NULL, "a text that ends a repetition, instead of \\n : \" *; may be given again; none: no text does"},
    {CMD_RUN,      "--dynatemp-range", "X", OPT_REAL, F(dynatemp_range), 0, 1e6, NULL, "let the temperature go by up to X, down where the model is sure (0: off)"},
    {CMD_RUN,      "--dynatemp-exp", "X", OPT_REAL, F(dynatemp_exp), -1e3, 1e3, NULL, "exponent of this"},
    {CMD_RUN,      "--mirostat", "N", OPT_INT, F(mirostat), 0, 2, NULL, "Mirostat 1 or 2, with the temperature alone, instead of the other samplers (0: off)"},
    {CMD_RUN,      "--mirostat-lr", "X", OPT_REAL, F(mirostat_lr), 0, 1e6, NULL, "its learning rate, eta"},
    {CMD_RUN,      "--mirostat-ent", "X", OPT_REAL, F(mirostat_ent), 0, 1e6, NULL, "its target, tau: the surprise of a token, in bits"},
    {CMD_RUN,      "-l, --logit-bias", "ID+X", OPT_LIST, F(logit_bias), 0, 0, NULL, "add X to a token's logit (15043+1, 15043-0.5; 15043-inf: never); may be given again"},
    {CMD_RUN,      "--samplers", "NAMES", OPT_TEXT, F(samplers), 0, 0, NULL, "the samplers in their order, separated by ';' (penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature)"},
    {CMD_RUN,      "--sampling-seq, --sampler-seq", "LETTERS", OPT_TEXT, F(sampling_seq), 0, 0, NULL, "the same, a letter each (edskypmxt)"},

    {CMD_INSPECT,  "--metadata", NULL, OPT_ON, F(metadata), 0, 0, NULL, "print every key with its value"},
    {CMD_INSPECT,  "--tensors", NULL, OPT_ON, F(tensors), 0, 0, NULL, "print every tensor: name, shape, type, bytes, offset, shard"},
    {CMD_INSPECT,  "--template", NULL, OPT_ON, F(show_template), 0, 0, NULL, "print the chat template"},
    {CMD_INSPECT,  "--json", NULL, OPT_ON, F(json), 0, 0, NULL, "print everything as one JSON object; arrays longer than 16 as {type, n, first}"},
    {CMD_INSPECT,  "--json-arrays", NULL, OPT_ON, F(json_arrays), 0, 0, NULL, "the same, with long arrays whole"},
    {CMD_INSPECT,  "--explain", NULL, OPT_ON, F(explain), 0, 0, NULL, "say whether gguf-run can use the file, and why not (exit code 3)"},
    {CMD_INSPECT,  "--plan", NULL, OPT_ON, F(plan), 0, 0, NULL, "print the memory that a run with -c N would take, and whether it fits"},
    {CMD_INSPECT,  "--check", NULL, OPT_ON, F(check), 0, 0, NULL, "read every block: a line a tensor with its counts of NaN, infinity, zero scales and blocks of zeros; exit code 1 where there is a NaN or infinity"},
    {CMD_INSPECT,  "--hash", NULL, OPT_ON, F(hash), 0, 0, NULL, "print the sha256 of every tensor"},
    {CMD_INSPECT,  "--tensor", "NAME", OPT_TEXT, F(tensor), 0, 0, NULL, "print decoded numbers of one tensor"},
    {CMD_INSPECT,  "--values", "FROM:TO", OPT_TEXT, F(values), 0, 0, NULL, "which of them, TO not included (default 0:16)"},

    {CMD_EVAL,     "--chunk", "N", OPT_INT, F(chunk), 4, 1 << 20, NULL, "tokens of a chunk of the text (default: -c, or 512); its second half is scored"},
    {CMD_EVAL,     "--stride", "N", OPT_INT, F(stride), 1, 1 << 20, NULL, "begin a chunk every N tokens and score the last N of each"},
    {CMD_EVAL,     "--chunks", "N", OPT_INT, F(n_chunks), -1, 1e9, NULL, "chunks at most (-1: all)"},
    {CMD_EVAL,     "--kl-base", "FILE", OPT_TEXT, F(kl_base), 0, 0, NULL, "write the log-probabilities of this run over the text to FILE"},
    {CMD_EVAL,     "--kl", "FILE", OPT_TEXT, F(kl), 0, 0, NULL, "how far this model is from the run that wrote FILE, over the same text"},
    {CMD_EVAL,     "--score", NULL, OPT_ON, F(score), 0, 0, NULL, "print the log-probability and the number of tokens of every line of stdin or -f"},
    {CMD_EVAL,     "--json", NULL, OPT_ON, F(json), 0, 0, NULL, "print results as JSON, one object a line"},
    {CMD_EVAL,     "--ids", "LIST", OPT_TEXT, F(ids), 0, 0, NULL, "token ids, separated by commas or spaces"},
    {CMD_EVAL,     "--logits", "FILE", OPT_TEXT, F(logits_out), 0, 0, NULL, "write float32 little-endian logits [n_ids][n_vocab] to FILE (- is stdout)"},
    {CMD_EVAL,     "--dump", "NAME", OPT_LIST, F(dump), 0, 0, NULL, "print an intermediate tensor (blk.0.attn_out, output_norm; `--dump list` names them)"},

    {CMD_BENCH,    "-p, --n-prompt", "LIST", OPT_TEXT, F(n_prompt), 0, 0, NULL, "tokens of the prompts (default 512; 0: none)"},
    {CMD_BENCH,    "-n, --n-gen", "LIST", OPT_TEXT, F(n_gen), 0, 0, NULL, "tokens to generate (default 128; 0: none)"},
    {CMD_BENCH,    "-d, --n-depth", "LIST", OPT_TEXT, F(n_depth), 0, 0, NULL, "positions that are filled before (default 0)"},
    {CMD_BENCH,    "-r, --repetitions", "N", OPT_INT, F(repetitions), 1, 1000, NULL, "runs of each test (default 5)"},
    {CMD_BENCH,    "-t, --threads", "LIST", OPT_TEXT, F(n_threads), 0, 0, "LLAMA_ARG_THREADS", "threads (default: what affinity, cgroup and cores allow)"},
    {CMD_BENCH,    "-o, --output", "FORMAT", OPT_TEXT, F(format), 0, 0, NULL, "md (default), csv, json or jsonl"},
    {CMD_BENCH,    "--ceilings", NULL, OPT_ON, F(ceilings), 0, 0, NULL, "print the machine's limits alone"},
    {CMD_BENCH,    "--start", NULL, OPT_ON, F(start), 0, 0, NULL, "time a process from its start to the first token of an 8-token prompt"},

    {CMD_QUANTIZE, "--allow-requantize", NULL, OPT_ON, F(allow_requantize), 0, 0, NULL, "take tensors that are quantized already, too: more is lost than from the original"},
    {CMD_QUANTIZE, "--leave-output-tensor", NULL, OPT_ON, F(leave_output), 0, 0, NULL, "output.weight stays as it is"},
    {CMD_QUANTIZE, "--output-tensor-type", "TYPE", OPT_TEXT, F(output_type), 0, 0, NULL, "type of the output matrix"},
    {CMD_QUANTIZE, "--token-embedding-type", "TYPE", OPT_TEXT, F(embedding_type), 0, 0, NULL, "type of the token embeddings"},
    {CMD_QUANTIZE, "--tensor-type", "PATTERN=TYPE", OPT_LIST, F(tensor_types), 0, 0, NULL, "type of the matrices in whose name the extended regular expression is found; may be given again, the first that fits counts"},
    {CMD_QUANTIZE, "--pure", NULL, OPT_ON, F(pure), 0, 0, NULL, "every matrix gets the same type"},
    {CMD_QUANTIZE, "--dry-run", NULL, OPT_ON, F(dry_run), 0, 0, NULL, "print what would become of every tensor, and write nothing"},

    {CMD_TOKENIZE, "--ids", NULL, OPT_ON, F(ids_only), 0, 0, NULL, "print all ids in one line"},
    {CMD_TOKENIZE, "--count", NULL, OPT_ON, F(count), 0, 0, NULL, "print the number of tokens"},
    {CMD_TOKENIZE, "--detokenize", NULL, OPT_ON, F(detokenize), 0, 0, NULL, "read ids and print their text"},
    {CMD_TOKENIZE, "--jsonl", NULL, OPT_ON, F(jsonl), 0, 0, NULL, "read {\"text\": ...} lines and add their ids"},

    {CMD_TOKENIZE, "--chat", "FILE", OPT_TEXT, F(chat), 0, 0, NULL, "render the conversation in FILE, a JSON object with what the template reads: {\"messages\": [{\"role\": ..., \"content\": ...}], ...}"},

    {TEXT_IN,      "--chat-template", "NAME", OPT_TEXT, F(chat_template), 0, 0, "LLAMA_ARG_CHAT_TEMPLATE", "a built-in chat template instead of the model's (`--chat-template list` names them), or Jinja text"},
    {TEXT_IN,      "--chat-template-file", "FILE", OPT_TEXT, F(chat_template_file), 0, 0, "LLAMA_ARG_CHAT_TEMPLATE_FILE", "a chat template in Jinja instead of the model's"},
    {TEXT_IN,      "--chat-template-kwargs", "JSON", OPT_TEXT, F(chat_kwargs), 0, 0, "LLAMA_CHAT_TEMPLATE_KWARGS", "more variables for the chat template: {\"enable_thinking\": false}"},
    {CMD_RUN,      "-sys, --system-prompt", "TEXT", OPT_TEXT, F(system), 0, 0, NULL, "the system message before the prompt"},
    {CMD_RUN,      "-sysf, --system-prompt-file", "FILE", OPT_TEXT, F(system_file), 0, 0, NULL, "read the system message from FILE"},
    {CMD_RUN,      "--tools", "FILE", OPT_TEXT, F(tools), 0, 0, NULL, "functions that the model may call: a JSON array for the template; calls come out with --json"},
    {CMD_RUN,      "--think", "auto|on|off", OPT_CHOICE, F(think), 0, 0, NULL, "whether the model thinks before it answers: on, off or auto (as its template has it)"},
    {CMD_RUN,      "--think-budget, --reasoning-budget", "N", OPT_INT, F(think_budget), -1, 1e9, "LLAMA_ARG_THINK_BUDGET", "end the thinking after N tokens (-1: no limit)"},
    {CMD_RUN,      "--show-thinking", NULL, OPT_ON, F(show_thinking), 0, 0, NULL, "print the thinking on stdout, before the answer, instead of on stderr"},
    {TEXT_IN,      "--now", "TIME", OPT_TEXT, F(clock), 0, 0, NULL, "the chat template's clock, \"YYYY-MM-DD HH:MM:SS\" (default: the machine's)"},

    {RUN_EVAL | CMD_INSPECT, "-c, --ctx-size", "N", OPT_INT, F(ctx), 0, 1 << 30, "LLAMA_ARG_CTX_SIZE", "positions of the context (0: as the model was trained)"},
    {RUN_EVAL,     "-t, --threads", "N", OPT_INT, F(threads), -1, 1024, "LLAMA_ARG_THREADS", "threads (default: what affinity, cgroup and cores allow)"},
    {RUN_EVAL,     "-tb, --threads-batch", "N", OPT_INT, F(threads_batch), -1, 1024, NULL, "threads for prompts (default: as -t)"},
    {RUNS,         "-b, --batch-size", "N", OPT_INT, F(batch), 1, 1 << 16, "LLAMA_ARG_BATCH", "tokens of a prompt computed at once, at most"},
    {RUNS,         "-ub, --ubatch-size", "N", OPT_INT, F(ubatch), 1, 1 << 16, "LLAMA_ARG_UBATCH", "the same; the smaller one counts (default 512)"},
    {RUNS | CMD_INSPECT, "-ctk, --cache-type-k", "TYPE", OPT_CACHE, F(cache_k), 0, 0, "LLAMA_ARG_CACHE_TYPE_K", "type of the cached keys: f16 (default), f32, bf16, q8_0"},
    {RUNS | CMD_INSPECT, "-ctv, --cache-type-v", "TYPE", OPT_CACHE, F(cache_v), 0, 0, "LLAMA_ARG_CACHE_TYPE_V", "type of the cached values: f16 (default), f32, bf16, q8_0"},
    {RUNS | CMD_INSPECT, "-ngl, --gpu-layers, --n-gpu-layers", "N|auto|all", OPT_LAYERS, F(gpu_layers), -2, 1e6, "LLAMA_ARG_N_GPU_LAYERS", "the last N layers on the GPU, and with one more the output; auto (default): as many as fit; needs a program built with CUDA"},
    {RUNS,         "-sm, --split-mode", "layer|none", OPT_CHOICE, F(split_mode), 0, 0, "LLAMA_ARG_SPLIT_MODE", "with several GPUs: spread the layers (default), or use the first alone"},
    {RUNS,         "-ts, --tensor-split", "N0,N1,...", OPT_TEXT, F(tensor_split), 0, 0, "LLAMA_ARG_TENSOR_SPLIT", "how many parts of the layers each GPU gets (default: by free memory)"},
    {RUNS,         "-fa, --flash-attn", "[on|off|auto]", OPT_CHOICE, F(no_effect), 0, 0, "LLAMA_ARG_FLASH_ATTN", "accepted without effect: attention always runs without a table of scores"},
    {RUN_EVAL,     "-co, --color", "[on|off|auto]", OPT_CHOICE, F(no_effect), 0, 0, NULL, "accepted without effect: only what is written to a terminal is dimmed (see NO_COLOR)"},
    {RUN_EVAL,     "--jinja, --warmup, --no-warmup", NULL, OPT_ONE, F(no_effect), 0, 0, "LLAMA_ARG_JINJA", "accepted without effect: templates are always rendered as they stand, and nothing is warmed up"},
    {LOADS | CMD_QUANTIZE, "--override-kv", "KEY=TYPE:VALUE", OPT_LIST, F(override_kv), 0, 0, NULL, "metadata instead of the file's; TYPE is int, float, bool or str; several with commas, or given again"},
    {RUNS,         "--rope-scaling", "none|linear|yarn", OPT_CHOICE, F(rope_scaling), 0, 0, "LLAMA_ARG_ROPE_SCALING_TYPE", "how positions are scaled (default: as the file says, or linear)"},
    {RUNS,         "--rope-scale", "X", OPT_REAL, F(rope_scale), 1e-6, 1e6, "LLAMA_ARG_ROPE_SCALE", "divide positions by X"},
    {RUNS,         "--rope-freq-base", "X", OPT_REAL, F(rope_freq_base), 0, 1e15, "LLAMA_ARG_ROPE_FREQ_BASE", "RoPE's base (0: the file's)"},
    {RUNS,         "--rope-freq-scale", "X", OPT_REAL, F(rope_freq_scale), 0, 1e6, "LLAMA_ARG_ROPE_FREQ_SCALE", "multiply positions by X: as --rope-scale 1/X (0: the file's)"},
    {RUNS,         "--yarn-orig-ctx", "N", OPT_REAL, F(yarn_orig_ctx), 0, 1 << 30, "LLAMA_ARG_YARN_ORIG_CTX", "YaRN: context that the model was trained with at first (0: the file's)"},
    {RUNS,         "--yarn-ext-factor", "X", OPT_REAL, F(yarn_ext_factor), -1, 1e6, "LLAMA_ARG_YARN_EXT_FACTOR", "YaRN: how much of the extrapolation is mixed in (-1: the file's)"},
    {RUNS,         "--yarn-attn-factor", "X", OPT_REAL, F(yarn_attn_factor), -1, 1e6, "LLAMA_ARG_YARN_ATTN_FACTOR", "YaRN: scale of the attention (-1: the file's)"},
    {RUNS,         "--yarn-beta-slow", "X", OPT_REAL, F(yarn_beta_slow), -1, 1e6, "LLAMA_ARG_YARN_BETA_SLOW", "YaRN: turns below which a pair is interpolated (-1: the file's)"},
    {RUNS,         "--yarn-beta-fast", "X", OPT_REAL, F(yarn_beta_fast), -1, 1e6, "LLAMA_ARG_YARN_BETA_FAST", "YaRN: turns above which it is extrapolated (-1: the file's)"},
    {TEXT_IN,      "--pre", "NAME", OPT_TEXT, F(pre), 0, 0, NULL, "use this pre-tokenizer instead of the one that the file names"},
    {CMD_ALL,      "--mmap", NULL, OPT_OFF, F(no_mmap), 0, 0, "LLAMA_ARG_MMAP", "map the file (the default)"},
    {CMD_ALL,      "--no-mmap", NULL, OPT_ON, F(no_mmap), 0, 0, "LLAMA_ARG_NO_MMAP", "read the file into memory instead of mapping it"},
    {RUN_EVAL,     "--mlock", NULL, OPT_ON, F(mlock), 0, 0, "LLAMA_ARG_MLOCK", "keep the file in memory"},

    {CMD_ALL,      "-h, --help", NULL, OPT_ON, F(help), 0, 0, NULL, "print this"},
    {CMD_ALL,      "--version", NULL, OPT_ON, F(version), 0, 0, NULL, "print the version"},
};
/* clang-format on */

enum { N_FLAGS = sizeof flags / sizeof *flags };

const flag *options_flags(size_t *n) {
    *n = N_FLAGS;
    return flags;
}

/* What a flag holds that is not given; everything else is zero. */
static void set_defaults(options *o) {
    gguf_sampler_params s = gguf_sampler_defaults();
    *o = (options){.escapes = true, .n_predict = -1, .timings = -1, .conversation = -1};
    o->repetitions = 5;
    o->seed = o->rope_scaling = -1;
    o->think_budget = -1;
    o->gpu_layers = GGUF_GPU_AUTO;
    /* numbers as written, not as the floats beside them */
    o->temp = 0.8;
    o->top_p = 0.95;
    o->min_p = 0.05;
    o->xtc_threshold = 0.1;
    o->mirostat_lr = 0.1;
    o->top_n_sigma = -1;
    o->typical = (double)s.typical_p;
    o->repeat_penalty = (double)s.penalty_repeat;
    o->dry_base = (double)s.dry_base;
    o->dynatemp_exp = (double)s.dynatemp_exponent;
    o->mirostat_ent = (double)s.mirostat_tau;
    o->top_k = s.top_k;
    o->repeat_last_n = s.penalty_last_n;
    o->dry_allowed_length = s.dry_allowed_length;
    o->dry_penalty_last_n = s.dry_last_n;
    o->rope_scale = o->rope_freq_base = o->rope_freq_scale = o->yarn_orig_ctx = NAN;
    o->yarn_ext_factor = o->yarn_attn_factor = o->yarn_beta_fast = o->yarn_beta_slow = NAN;
}

bool value_is_optional(const char *arg) { return arg[0] == '['; }

/* ---- values ---------------------------------------------------------------------------------- */

static bool number(const char *name, const char *text, const flag *f, double *out, gguf_error *err) {
    char *end;
    errno = 0;
    double v = strtod(text, &end); /* the C locale: nobody calls setlocale */
    bool whole_number = f->kind == OPT_INT || f->kind == OPT_LAYERS;
    bool whole = !whole_number || (v == floor(v) && !strpbrk(text, ".eExXnN"));
    if (end == text || *end || errno == ERANGE || !whole) {
        return fail(err, GGUF_ERR_USAGE, "%s takes %s, not \"%s\"", name,
                    whole_number ? "a whole number" : "a number", text);
    }
    if (!(v >= f->min && v <= f->max)) {
        return fail(err, GGUF_ERR_USAGE, "%s takes a number between %.10g and %.10g, not %s", name, f->min, f->max,
                    text);
    }
    *out = v;
    return true;
}

/* A number, or a word for one. */
static bool layers(const char *name, const char *text, const flag *f, int64_t *out, gguf_error *err) {
    static const struct {
        const char *word;
        int64_t value;
    } words[] = {{"auto", GGUF_GPU_AUTO}, {"all", GGUF_GPU_ALL}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i].word) != 0) continue;
        *out = words[i].value;
        return true;
    }
    double v;
    if (strcspn(text, "0123456789") == strlen(text))
        return fail(err, GGUF_ERR_USAGE, "%s takes a number of layers, auto or all, not \"%s\"", name, text);
    if (!number(name, text, f, &v, err)) return false;
    *out = (int64_t)v;
    return true;
}

const char *const cache_types[] =
    {[GGUF_CACHE_F16] = "f16", [GGUF_CACHE_F32] = "f32", [GGUF_CACHE_BF16] = "bf16", [GGUF_CACHE_Q8_0] = "q8_0", NULL};

/* Words that LLAMA_ARG_* variables and llama.cpp's flags have for on and off: 1, 0, or -1 where it is neither. */
static int on_or_off(const char *text) {
    static const char *const words[] = {"off", "on", "disabled", "enabled", "false", "true", "0", "1"};
    for (int i = 0; i < 8; i++) {
        if (strcmp(text, words[i]) == 0) return i % 2;
    }
    return -1;
}

/* The place of a text in choices ("on|off|auto" or "[on|off|auto]"), or -1. */
static int64_t find_choice(const char *choices, const char *text) {
    size_t n = strlen(text);
    choices += value_is_optional(choices);
    for (int64_t i = 0; *choices && *choices != ']'; i++) {
        size_t len = strcspn(choices, "|]");
        if (len == n && memcmp(choices, text, n) == 0) return i;
        choices += len + (choices[len] == '|');
    }
    return -1;
}

static bool set_value(options *o, const flag *f, const char *name, const char *text, gguf_error *err) {
    void *at = (char *)o + f->field;
    double v;
    switch (f->kind) {
    case OPT_ON: *(bool *)at = true; return true;
    case OPT_OFF: *(bool *)at = false; return true;
    case OPT_ONE: *(int64_t *)at = 1; return true;
    case OPT_ZERO: *(int64_t *)at = 0; return true;
    case OPT_TEXT: *(const char **)at = text; return true;
    case OPT_INT:
        if (!number(name, text, f, &v, err)) return false;
        *(int64_t *)at = (int64_t)v;
        return true;
    case OPT_LAYERS: return layers(name, text, f, at, err);
    case OPT_REAL: return number(name, text, f, at, err);
    case OPT_CACHE:
        for (int64_t i = 0; cache_types[i]; i++) {
            if (strcmp(text, cache_types[i]) != 0) continue;
            *(int64_t *)at = i;
            return true;
        }
        return fail(err, GGUF_ERR_USAGE, "%s takes f16, f32, bf16 or q8_0, not \"%s\"", name, text);
    case OPT_CHOICE: {
        int on = on_or_off(text);
        int64_t i = find_choice(f->arg, on < 0 ? text : on ? "on" : "off");
        if (i < 0) return fail(err, GGUF_ERR_USAGE, "%s takes one of %s, not \"%s\"", name, f->arg, text);
        *(int64_t *)at = i;
        return true;
    }
    case OPT_LIST: {
        option_list *list = at;
        if (list->n == MAX_LIST) return fail(err, GGUF_ERR_USAGE, "%s can be given %d times at most", name, MAX_LIST);
        list->items[list->n++] = text;
        return true;
    }
    }
    return false;
}

/* ---- finding --------------------------------------------------------------------------------- */

bool flag_has_name(const char *names, const char *given, size_t n) {
    for (const char *p = names; *p;) {
        size_t len = strcspn(p, ",");
        bool same = len == n;
        for (size_t i = 0; i < n && same; i++) {
            char c = given[i] == '_' && given[1] == '-' ? '-' : given[i];
            same = c == p[i];
        }
        if (same) return true;
        p += len;
        p += strspn(p, ", ");
    }
    return false;
}

static const flag *find(const command *c, const char *given, size_t n) {
    for (size_t i = 0; i < N_FLAGS; i++) {
        if ((flags[i].commands & c->bit) && flag_has_name(flags[i].names, given, n)) return &flags[i];
    }
    return NULL;
}

/* What a switch's variable says: LLAMA_ARG_NO_* by being there, the others by a word for on or off. */
static bool set_switch(options *o, const flag *f, const char *value, gguf_error *err) {
    int on = strstr(f->env, "_NO_") ? 1 : on_or_off(value);
    if (on < 0) return fail(err, GGUF_ERR_USAGE, "%s takes on or off, not \"%s\"", f->env, value);
    void *at = (char *)o + f->field;
    if (on) return set_value(o, f, f->env, value, err);
    if (f->kind == OPT_ONE || f->kind == OPT_ZERO) {
        *(int64_t *)at = f->kind == OPT_ZERO;
    } else {
        *(bool *)at = f->kind == OPT_OFF;
    }
    return true;
}

/* LLAMA_ARG_* variables hold what the flag would. */
static bool read_environment(const command *c, options *o, gguf_error *err) {
    for (size_t i = 0; i < N_FLAGS; i++) {
        const flag *f = &flags[i];
        const char *v = f->env && (f->commands & c->bit) ? getenv(f->env) : NULL;
        if (!v || (!*v && f->arg)) continue;
        if (f->arg ? !set_value(o, f, f->env, v, err) : !set_switch(o, f, v, err)) return false;
    }
    return true;
}

/* ---- after the flags ------------------------------------------------------------------------- */

static bool add_override(options *o, const char *text, gguf_error *err) {
    option_list *list = &o->override_kv;
    if (list->n == MAX_LIST) return fail(err, GGUF_ERR_USAGE, "--override-kv and --rope-* are %d at most", MAX_LIST);
    list->items[list->n++] = text;
    return true;
}

/* "3,1": three parts for the first GPU, one for the second. */
static bool read_shares(options *o, gguf_error *err) {
    double sum = 0;
    for (const char *p = o->tensor_split; o->n_gpu_shares < MAX_SHARES;) {
        char *end;
        double v = strtod(p, &end);
        if (end == p || !(v >= 0 && v < 1e6)) break;
        o->gpu_shares[o->n_gpu_shares++] = (float)v;
        sum += v;
        if (!*end && sum > 0) return true;
        if (*end != ',' && *end != '/') break;
        p = end + 1;
    }
    return fail(err, GGUF_ERR_USAGE, "-ts takes up to %d numbers separated by commas, not all 0, not \"%s\"", MAX_SHARES,
                o->tensor_split);
}

/* The RoPE flags are other names for metadata. */
static bool override_rope(options *o, gguf_error *err) {
    static const char *const types[] = {"none", "linear", "yarn"};
    double factor = o->rope_freq_scale > 0 ? 1 / o->rope_freq_scale : o->rope_scale;
    const struct {
        double value, least; /* what is less, or NAN, means the file's */
        const char *key;
    } rows[] = {
        {factor, 1e-9, "rope.scaling.factor=float"},
        {o->rope_freq_base, 1e-9, "rope.freq_base=float"},
        {o->yarn_orig_ctx, 1, "rope.scaling.original_context_length=int"},
        {o->yarn_ext_factor, 0, "rope.scaling.yarn_ext_factor=float"},
        {o->yarn_attn_factor, 0, "rope.scaling.yarn_attn_factor=float"},
        {o->yarn_beta_fast, 0, "rope.scaling.yarn_beta_fast=float"},
        {o->yarn_beta_slow, 0, "rope.scaling.yarn_beta_slow=float"},
    };
    int n = 0;
    char(*text)[64] = o->rope_overrides;
    if (o->rope_scaling >= 0) {
        snprintf(text[n], sizeof *text, ".rope.scaling.type=str:%s", types[o->rope_scaling]);
        if (!add_override(o, text[n++], err)) return false;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!(rows[i].value >= rows[i].least)) continue;
        snprintf(text[n], sizeof *text, ".%s:%.12g", rows[i].key, rows[i].value);
        if (!add_override(o, text[n++], err)) return false;
    }
    return true;
}

/* Escapes in texts besides the prompt; they stand in argv, which belongs to the program. */
static void unescape_all(option_list *list) {
    for (int64_t i = 0; i < list->n; i++) unescape((char *)(uintptr_t)list->items[i]);
}

/* The flag at argv[*i] and its value, which may be the next argument: *i is then moved there. */
static bool take_flag(const command *c, int argc, char **argv, int *i, options *o, gguf_error *err) {
    const char *a = argv[*i], *equals = a[1] == '-' ? strchr(a, '=') : NULL;
    size_t n = equals ? (size_t)(equals - a) : strlen(a);
    const flag *f = find(c, a, n);
    if (!f) return fail_unknown_flag(c, a, n, err);
    const char *value = equals ? equals + 1 : NULL;
    if (!f->arg && value) return fail(err, GGUF_ERR_USAGE, "%.*s takes no value", (int)n, a);
    if (f->arg && !value) {
        bool is_last = *i + 1 == argc;
        if (value_is_optional(f->arg) && (is_last || argv[*i + 1][0] == '-')) {
            value = "on";
        } else if (is_last) {
            return fail(err, GGUF_ERR_USAGE, "%s needs a value: %s %s", a, a, f->arg);
        } else {
            value = argv[++*i];
        }
    }
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)n, a);
    return set_value(o, f, name, value, err);
}

bool options_parse(const command *c, int argc, char **argv, int first, options *o, gguf_error *err) {
    set_defaults(o);
    if (!read_environment(c, o, err)) return false;
    bool flags_end = false;
    for (int i = first; i < argc; i++) {
        const char *a = argv[i];
        if (flags_end || a[0] != '-' || a[1] == 0) {
            bool room = o->n_words < (c->n_words ? c->n_words : 1);
            if (!room) return fail(err, GGUF_ERR_USAGE, "\"%s\" is one argument too many", a);
            o->words[o->n_words++] = a;
            continue;
        }
        flags_end = strcmp(a, "--") == 0;
        if (!flags_end && !take_flag(c, argc, argv, &i, o, err)) return false;
    }
    if (o->help || o->version) return true;
    if (c->bit == CMD_QUANTIZE) return true;
    if (o->n_words && (o->model || c->n_words == 0)) {
        return fail(err, GGUF_ERR_USAGE, "\"%s\" is one argument too many (the model: -m FILE, the prompt: -p TEXT)",
                    o->words[0]);
    }
    if (o->n_words) o->model = o->words[0];      /* what is looked into may stand without -m */
    if (o->model && !*o->model) o->model = NULL; /* what a script that failed has printed */
    if (o->json && o->jsonl)
        return fail(err, GGUF_ERR_USAGE, "--json and --jsonl are two ways to print the same: choose one");
    if ((o->start || o->ceilings) && o->format)
        return fail(err, GGUF_ERR_USAGE, "%s has one form alone: leave out -o", o->start ? "--start" : "--ceilings");
    bool without_model = o->ceilings || (o->chat && (o->chat_template || o->chat_template_file) && !o->ids_only);
    if (o->chat_template && strcmp(o->chat_template, "list") == 0) without_model = true;
    if (!o->model && !without_model) return fail(err, GGUF_ERR_USAGE, "no model was given (-m FILE)");
    if ((o->gpu_layers > 0 || o->gpu_layers == GGUF_GPU_ALL) && !gguf_has_gpu_backend())
        return fail(err, GGUF_ERR_USAGE, "-ngl: this program was built without CUDA (cmake -DGGUF_CUDA=ON) and computes "
                                         "on the CPU; leave -ngl out");
    if (o->tensor_split && !read_shares(o, err)) return false;
    if (o->escapes) {
        unescape_all(&o->stops);
        unescape_all(&o->dry_breakers);
    }
    return override_rope(o, err);
}

/* ---- help ------------------------------------------------------------------------------------ */

const exit_code exit_codes[] = {
    {0, "done"},
    {GGUF_ERR_RUN, "failed while running"},
    {GGUF_ERR_USAGE, "wrong usage"},
    {GGUF_ERR_MODEL, "the model cannot be used"},
    {GGUF_ERR_CONTEXT, "the prompt does not fit the context"},
    {GGUF_ERR_MEMORY, "not enough memory"},
    {GGUF_ERR_STOPPED, "--timeout ran out"},
    {130, "interrupted"},
    {0, NULL},
};

enum { HELP_COLUMN = 29, HELP_WIDTH = 80 };

/* A flag's help from HELP_COLUMN on, in lines that fit a terminal. */
static void put_help(FILE *out, const char *text) {
    int column = HELP_COLUMN;
    for (const char *word = text; *word;) {
        int n = (int)strcspn(word, " ");
        bool fits = column + n < HELP_WIDTH || column == HELP_COLUMN;
        if (!fits) column = fprintf(out, "\n%*s", HELP_COLUMN, "") - 1;
        column += fprintf(out, "%s%.*s", column > HELP_COLUMN ? " " : "", n, word);
        word += n + (word[n] == ' ');
    }
    fputc('\n', out);
}

void options_help(const command *c, FILE *out) {
    fprintf(out, "Usage: gguf-%s %s\n\n%s\n\nOptions:\n", c->name, c->usage, c->summary);
    for (size_t i = 0; i < N_FLAGS; i++) {
        const flag *f = &flags[i];
        if (!(f->commands & c->bit)) continue;
        char left[96];
        int n = snprintf(left, sizeof left, "%s%s%s", f->names, f->arg ? " " : "", f->arg ? f->arg : "");
        if (n + 3 > HELP_COLUMN) {
            fprintf(out, "  %s\n%*s", left, HELP_COLUMN, "");
        } else {
            fprintf(out, "  %-*s", HELP_COLUMN - 2, left);
        }
        put_help(out, f->help);
    }
    if (c->more) fprintf(out, "\n%s\n", c->more);
    fprintf(out, "\nExit codes:");
    for (const exit_code *e = exit_codes; e->what; e++) {
        const char *between = e == exit_codes ? " " : e->code == GGUF_ERR_CONTEXT ? ",\n" : ", ";
        fprintf(out, "%s%d %s", between, e->code, e->what);
    }
    fprintf(out, ".\n");
}
