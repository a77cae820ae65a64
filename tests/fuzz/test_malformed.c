/*
 * Files that are not as they should be: each must end with an error that names the cause, and none may crash, hang,
 * leak or read out of bounds (run it under sanitizers).
 *
 *   test_malformed table                    known classes of damage, with the error that each must give
 *   test_malformed mmap|no-mmap|memory      every truncation and every flipped bit of two small models
 */
#include "malformed.h"

/* ---- bytes changed --------------------------------------------------------------------------------- */

#define Q    "blk.0.attn_q.weight"
#define LAST "output.weight"

/* The value of `width` bytes is put to a place of LLAMA; the error must hold `text`, and name the byte offset of the
 * place `blame` of the same key or tensor (NOWHERE: none). */
typedef struct {
    place where;
    const char *name;
    int width;
    uint64_t value;
    place blame;
    const char *text;
} patch;

static const patch patches[] = {
    /* the header */
    {AT, "0", 1, 'g', NOWHERE, "is not a GGUF file: it begins with the bytes 67 47 55 46"},
    {AT, "3", 1, 0, NOWHERE, "is not a GGUF file"},
    {AT, "0", 4, 0x47475546, NOWHERE, "big-endian"},
    {AT, "4", 4, 0, NOWHERE, "version 0"},
    {AT, "4", 4, 1, NOWHERE, "version 1"},
    {AT, "4", 4, 4, NOWHERE, "version 4"},
    {AT, "4", 4, 0xFFFFFFFF, NOWHERE, "version 4294967295"},
    {AT, "4", 4, 0x03000000, NOWHERE, "big-endian"},
    {AT, "4", 4, 0x00020000, NOWHERE, "big-endian"},
    {AT, "8", 8, 1000, NOWHERE, "at byte 8: 1000 tensors cannot stand"},
    {AT, "8", 8, UINT64_MAX, NOWHERE, "at byte 8: 18446744073709551615 tensors cannot stand"},
    {AT, "8", 8, 1ull << 60, NOWHERE, "at byte 8"},
    {AT, "16", 8, 1000, NOWHERE, "at byte 16: 1000 keys cannot stand"},
    {AT, "16", 8, UINT64_MAX, NOWHERE, "at byte 16"},
    {AT, "16", 8, 1ull << 61, NOWHERE, "at byte 16"},
    {AT, "16", 1, 25, NOWHERE, "at byte "},
    {AT, "16", 1, 40, NOWHERE, "at byte "},
    {AT, "8", 1, 40, NOWHERE, "at byte "},
    /* keys */
    {KEY, "x.a", 8, 1ull << 40, KEY, "a key needs 1099511627784 bytes"},
    {KEY, "x.a", 8, UINT64_MAX, KEY, "a key needs"},
    {KEY, "x.a", 8, UINT64_MAX - 7, KEY, "a key needs"},
    {KEY, "x.a", 8, 1ull << 63, KEY, "a key needs"},
    {KEY, "x.a", 8, 0, KEY, "a key without a name"},
    {KEY_TEXT, "x.a", 1, 0, KEY, "NUL byte"},
    {KEY_TEXT, "x.b", 3, 'x' | '.' << 8 | 'a' << 16, KEY, "the key x.a stands twice"},
    {KEY_TYPE, "x.a", 4, 13, KEY_TYPE, "key x.a: unknown value type 13"},
    {KEY_TYPE, "x.a", 4, 0xFFFFFFFF, KEY_TYPE, "unknown value type 4294967295"},
    {KEY_TYPE, "x.a", 4, 255, KEY_TYPE, "unknown value type 255"},
    {VALUE, "x.flag", 1, 2, VALUE, "key x.flag: a bool holds 2"},
    {VALUE, "x.flag", 1, 255, VALUE, "a bool holds 255"},
    {VALUE, "x.flags", 1, 7, VALUE, "key x.flags: a bool holds 7"},
    {VALUE, "x.text", 8, 1ull << 50, VALUE, "a string needs"},
    {VALUE, "x.text", 8, UINT64_MAX, VALUE, "a string needs"},
    {VALUE, "x.text", 8, UINT64_MAX - 8, VALUE, "a string needs"},
    {VALUE, "x.names", 8, 1ull << 33, VALUE, "a string needs"},
    {VALUE, "x.names", 8, UINT64_MAX, VALUE, "a string needs"},
    {ELEM_TYPE, "x.list", 4, 9, ELEM_TYPE, "arrays of arrays"},
    {ELEM_TYPE, "x.list", 4, 13, ELEM_TYPE, "unknown element type 13"},
    {ELEM_TYPE, "x.list", 4, 0xFFFFFFFF, ELEM_TYPE, "unknown element type"},
    {COUNT, "x.list", 8, 1ull << 40, VALUE, "1099511627776 values of type u32"},
    {COUNT, "x.list", 8, 1ull << 62, VALUE, "values of type u32"}, /* x 4 wraps to 0 */
    {COUNT, "x.list", 8, (1ull << 62) + 1, VALUE, "values of type u32"},
    {COUNT, "x.list", 8, UINT64_MAX, VALUE, "values of type u32"},
    {COUNT, "x.names", 8, UINT64_MAX, VALUE, "values of type string"},
    {COUNT, "x.names", 8, 1ull << 61, VALUE, "values of type string"},
    {COUNT, "x.names", 8, 100, NOWHERE, "at byte "},
    {COUNT, "x.flags", 8, UINT64_MAX, VALUE, "values of type bool"},
    {COUNT, "tokenizer.ggml.tokens", 8, 1ull << 31, VALUE, "values of type string"},
    {COUNT, "tokenizer.ggml.scores", 8, 1ull << 31, VALUE, "values of type f32"},
    /* tensors */
    {TENSOR, Q, 8, 1ull << 40, TENSOR, "a tensor needs"},
    {TENSOR, Q, 8, UINT64_MAX, TENSOR, "a tensor needs"},
    {TENSOR, Q, 8, 0, TENSOR, "a tensor without a name"},
    {TENSOR_TEXT, Q, 1, 0, TENSOR, "NUL byte"},
    {TENSOR_LETTER, "blk.0.attn_k.weight", 1, 'q', TENSOR, "the tensor " Q " stands twice"},
    {N_DIMS, Q, 4, 0, TENSOR, "tensor " Q " has 0 dimensions"},
    {N_DIMS, Q, 4, 5, TENSOR, "has 5 dimensions"},
    {N_DIMS, Q, 4, 0xFFFFFFFF, TENSOR, "has 4294967295 dimensions"},
    {NE0, Q, 8, 0, TENSOR, "dimension 0 is 0"},
    {NE1, Q, 8, 0, TENSOR, "dimension 1 is 0"},
    {NE0, Q, 8, 33, TENSOR, "rows of 33 are not whole blocks of 32 (Q4_0)"},
    {NE0, Q, 8, 1, TENSOR, "not whole blocks"},
    {NE1, Q, 8, 1ull << 62, TENSOR, "product is too large"},
    {NE1, Q, 8, UINT64_MAX, TENSOR, "product is too large"},
    {NE1, Q, 8, 1ull << 59, TENSOR, "product is too large"}, /* x 32 wraps to 0 */
    {NE0, Q, 8, 1ull << 63, TENSOR, "product is too large"},
    {NE0, "output_norm.weight", 8, 1ull << 61, TENSOR, "size in bytes is too large"},
    {NE1, LAST, 8, 1ull << 57, NOWHERE, "tensor " LAST " needs"},
    {NE1, LAST, 8, 21, NOWHERE, "cut short by 18 bytes"},
    {NE1, Q, 8, 64, NOWHERE, "overlap"},
    {TENSOR_TYPE, Q, 4, 4, TENSOR, "type 4 (Q4_2), which was removed"},
    {TENSOR_TYPE, Q, 4, 5, TENSOR, "removed"},
    {TENSOR_TYPE, Q, 4, 31, TENSOR, "removed"},
    {TENSOR_TYPE, Q, 4, 33, TENSOR, "removed"},
    {TENSOR_TYPE, Q, 4, 36, TENSOR, "removed"},
    {TENSOR_TYPE, Q, 4, 38, TENSOR, "removed"},
    {TENSOR_TYPE, Q, 4, 1000, TENSOR, "type 1000, which is unknown"},
    {TENSOR_TYPE, Q, 4, 0x7FFFFFFF, TENSOR, "unknown"},
    {TENSOR_TYPE, Q, 4, 0xFFFFFFFF, TENSOR, "unknown"},
    {TENSOR_TYPE, Q, 4, 12, TENSOR, "not whole blocks of 256 (Q4_K)"},
    {TENSOR_TYPE, Q, 4, 0, NOWHERE, "overlap"},
    {TENSOR_TYPE, LAST, 4, 0, NOWHERE, "cut short by 2200 bytes"},
    {OFFSET, Q, 8, 1, NOWHERE, "tensor " Q ": offset 1 is not a multiple of the alignment 32"},
    {OFFSET, Q, 8, 16, NOWHERE, "not a multiple"},
    {OFFSET, Q, 8, UINT64_MAX, NOWHERE, "not a multiple"},
    {OFFSET, Q, 8, 0, NOWHERE, "overlap"},
    {OFFSET, Q, 8, 1 << 20, NOWHERE, "tensor " Q " needs 576 bytes at byte "},
    {OFFSET, Q, 8, 1ull << 63, NOWHERE, "cut short by"},
    {OFFSET, Q, 8, UINT64_MAX - 31, NOWHERE, "offset is too large"},
    {OFFSET, LAST, 8, UINT64_MAX - 4095, NOWHERE, "cut short by"},
};

/* What the file format allows and the model does not. */
static const patch model_patches[] = {
    {NE1, Q, 8, 16, NOWHERE, "tensor " Q ": dimension 1 is 16, but the hyper-parameters ask for 32 (2 heads of 16)"},
    {NE1, "token_embd.weight", 8, 19, NOWHERE, "20"},
    {NE1, LAST, 8, 19, NOWHERE, "tensor output.weight: dimension 1 is 19"},
    {NE0, "output_norm.weight", 8, 31, NOWHERE, "tensor output_norm.weight: dimension 0 is 31"},
    {NE0, "rope_freqs.weight", 8, 7, NOWHERE, "tensor rope_freqs.weight: dimension 0 is 7"},
    {DATA, "rope_freqs.weight", 4, 0, NOWHERE, "rope_freqs.weight: value 0 is 0"},
    {DATA, "rope_freqs.weight", 4, 0x7FC00000, NOWHERE, "rope_freqs.weight: value 0 is nan"},
    {DATA, "rope_freqs.weight", 4, 0xFF800000, NOWHERE, "rope_freqs.weight: value 0 is -inf"},
};

static void apply_patch(const patch *p, image *im, size_t at) {
    for (int i = 0; i < p->width; i++) im->data[at + (size_t)i] = (uint8_t)(p->value >> (8 * i));
}

static void test_patches(const patch *p, size_t n, depth level) {
    for (const patch *end = p + n; p < end; p++) {
        image im = make(LLAMA, "");
        gguf_error err = {0};
        size_t at = locate(&im, p->where, p->name), blame = p->blame ? locate(&im, p->blame, p->name) : 0;
        CHECK(at < im.n && blame < im.n);
        apply_patch(p, &im, at);
        if (level == PARSE) {
            parse(&im, &err);
        } else {
            put_memory_file(&im);
            open_model(memory_path, false, level, &err);
        }
        char what[128], offset[32];
        snprintf(what, sizeof what, "%s, place %d = %llx", p->name, (int)p->where, (unsigned long long)p->value);
        snprintf(offset, sizeof offset, "at byte %zu:", blame);
        expect(what, &err, GGUF_ERR_MODEL, p->text);
        if (p->blame) expect(what, &err, GGUF_ERR_MODEL, offset);
        free(im.data);
    }
}

/* An offset that fits 64 bits with the header before it, but not with the tensor behind it. */
static void test_wrapping_end(void) {
    image im = make(LLAMA, "");
    gguf_error err = {0};
    gguf_file *f = gguf_file_parse(im.data, im.n, "file", &err);
    CHECK(f != NULL);
    uint64_t offset = f ? 0 - gguf_file_shard(f, 0)->data_offset - 32 : 0;
    gguf_file_close(f);
    memcpy(im.data + locate(&im, OFFSET, LAST), &offset, sizeof offset);
    parse(&im, &err);
    expect("an end that wraps", &err, GGUF_ERR_MODEL, "tensor " LAST ": its offset is too large");
    free(im.data);
}

/* ---- options changed ------------------------------------------------------------------------------- */

/* LLAMA with more options: the error must hold `text`; NULL: it may open and run, or fail. */
static const struct {
    const char *options, *text;
} variants[] = {
    /* the alignment */
    {"--set general.alignment=u32:0", "general.alignment is 0"},
    {"--set general.alignment=u32:3", "general.alignment is 3"},
    {"--set general.alignment=u32:48", "general.alignment is 48"},
    {"--set general.alignment=u32:131072", "general.alignment is 131072"},
    {"--set general.alignment=u32:0xFFFFFFFF", "general.alignment is 4294967295"},
    {"--set general.alignment=u64:32", "general.alignment is of type u64"},
    {"--set general.alignment=i32:32", "general.alignment is of type i32"},
    {"--set general.alignment=i32:-32", "general.alignment is of type i32"},
    {"--set general.alignment=f32:32", "general.alignment is of type f32"},
    {"--set general.alignment=string:32", "general.alignment is of type string"},
    {"--set general.alignment=u32[]:32", "general.alignment is of type array"},
    {"--set general.alignment=bool:1", "general.alignment is of type bool"},
    {"--set general.alignment=u32:65536", "not a multiple of the alignment 65536"},
    /* names */
    {"--rename-tensor " Q "=blk.0.attn_k.weight", "the tensor blk.0.attn_k.weight stands twice"},
    {"--drop general.architecture", "general.architecture"},
    {"--set general.architecture=u32:1", "general.architecture"},
    {"--set general.architecture=string[]:llama", "general.architecture"},
    {"--set general.architecture=string:", "is not supported"},
    {"--set general.architecture=string:mamba9", "mamba9 is not supported; this program runs llama"},
    {"--set general.architecture=string:smollm3", "smollm3.context_length"},
    /* hyper-parameters that are missing, none, absurd */
    {"--drop llama.context_length", "has no llama.context_length"},
    {"--drop llama.embedding_length", "has no llama.embedding_length"},
    {"--drop llama.block_count", "has no llama.block_count"},
    {"--drop llama.feed_forward_length", "has no llama.feed_forward_length"},
    {"--drop llama.attention.head_count", "has no llama.attention.head_count"},
    {"--drop llama.attention.layer_norm_rms_epsilon", "has no llama.attention.layer_norm_rms_epsilon"},
    {"--set llama.context_length=u32:0", "llama.context_length is 0; it must be between"},
    {"--set llama.embedding_length=u32:0", "llama.embedding_length is 0"},
    {"--set llama.block_count=u32:0", "llama.block_count is 0"},
    {"--set llama.feed_forward_length=u32:0", "llama.feed_forward_length is 0"},
    {"--set llama.attention.head_count=u32:0", "llama.attention.head_count is 0"},
    {"--set llama.attention.head_count_kv=u32:0", "llama.attention.head_count_kv is 0"},
    {"--set llama.attention.key_length=u32:0", "llama.attention.key_length is 0"},
    {"--set llama.attention.value_length=u32:0", "llama.attention.value_length is 0"},
    {"--set llama.rope.dimension_count=u32:0", "llama.rope.dimension_count is 0"},
    {"--set llama.context_length=u32:0xFFFFFFFF", "llama.context_length is 4294967295"},
    {"--set llama.embedding_length=u32:0xFFFFFFFF", "llama.embedding_length is 4294967295"},
    {"--set llama.block_count=u32:0xFFFFFFFF", "llama.block_count is 4294967295"},
    {"--set llama.feed_forward_length=u32:0xFFFFFFFF", "llama.feed_forward_length is 4294967295"},
    {"--set llama.attention.head_count=u32:0xFFFFFFFF", "llama.attention.head_count is 4294967295"},
    {"--set llama.attention.head_count_kv=u32:0xFFFFFFFF", "llama.attention.head_count_kv is 4294967295"},
    {"--set llama.attention.key_length=u32:0x10000", "llama.attention.key_length is 65536"},
    {"--set llama.rope.dimension_count=u32:0x10000", "llama.rope.dimension_count is 65536"},
    {"--set llama.block_count=u64:0xFFFFFFFFFFFFFFFF", "llama.block_count"},
    {"--set llama.block_count=u64:0x100000001", "llama.block_count is 4294967297"},
    {"--set llama.block_count=i32:-1", "llama.block_count is -1"},
    {"--set llama.embedding_length=i64:-32", "llama.embedding_length is -32"},
    /* ... of the wrong type */
    {"--set llama.block_count=string:1", "llama.block_count is of type string"},
    {"--set llama.block_count=f32:1", "llama.block_count is of type f32"},
    {"--set llama.block_count=bool:1", "llama.block_count is of type bool"},
    {"--set llama.embedding_length=f64:32", "llama.embedding_length is of type f64"},
    {"--set llama.attention.layer_norm_rms_epsilon=string:x",
     "llama.attention.layer_norm_rms_epsilon is of type string"},
    {"--set llama.rope.freq_base=string:x", "llama.rope.freq_base is of type string"},
    {"--set llama.attention.head_count=string[]:a", "llama.attention.head_count is of type string"},
    {"--set llama.rope.scaling.type=u32:1", "rope.scaling.type is of type u32"},
    {"--set llama.rope.scaling.factor=string:x", "llama.rope.scaling.factor"},
    /* ... as arrays */
    {"--set llama.feed_forward_length=u32[]:32,32", "llama.feed_forward_length has 2 values, but block_count is 1"},
    {"--set llama.feed_forward_length=u32[]:32,64", "llama.feed_forward_length"},
    {"--set llama.attention.head_count=u32[]:0", "llama.attention.head_count is 0"},
    {"--set llama.attention.head_count=u32[]:", "llama.attention.head_count"},
    {"--set llama.attention.head_count_kv=u32[]:1,1,1", "llama.attention.head_count_kv has 3 values"},
    /* ... that do not fit */
    {"--set llama.attention.head_count=u32:3", "embedding_length 32 is not a multiple of attention.head_count 3"},
    {"--set llama.attention.head_count=u32:64", "embedding_length 32 is not a multiple of attention.head_count 64"},
    {"--set llama.attention.head_count_kv=u32:3",
     "attention.head_count 2 is not a multiple of attention.head_count_kv 3"},
    {"--set llama.attention.head_count_kv=u32:4",
     "attention.head_count 2 is not a multiple of attention.head_count_kv 4"},
    {"--set llama.attention.head_count_kv=u32:2", "tensor blk.0.attn_k.weight: dimension 1 is 16"},
    {"--set llama.attention.head_count=u32:1", "1 kv heads of 32"},
    {"--set llama.attention.key_length=u32:18", "2 heads of 18"},
    {"--set llama.attention.value_length=u32:18", "tensor blk.0.attn_v.weight"},
    {"--set llama.rope.dimension_count=u32:15", "rope.dimension_count 15 does not fit the head size 16"},
    {"--set llama.rope.dimension_count=u32:18", "rope.dimension_count 18 does not fit the head size 16"},
    {"--set llama.rope.dimension_count=u32:8", "tensor rope_freqs.weight: dimension 0 is 8"},
    {"--set llama.embedding_length=u32:64", "tensor token_embd.weight: dimension 0 is 32"},
    {"--set llama.feed_forward_length=u32:64", "tensor blk.0.ffn_gate.weight: dimension 1 is 32"},
    /* what other architectures have besides */
    {"--arch qwen3moe --set qwen3moe.expert_count=u32:0", "qwen3moe.expert_count is 0 or missing"},
    {"--arch qwen3moe --drop qwen3moe.expert_count", "qwen3moe.expert_count is 0 or missing"},
    {"--arch qwen3moe --set qwen3moe.expert_count=u32:5000", "qwen3moe.expert_count is 5000; it must be between"},
    {"--arch qwen3moe --set qwen3moe.expert_count=u32:9", "tensor blk.0.ffn_gate_inp.weight: dimension 1 is 8"},
    {"--arch qwen3moe --set qwen3moe.expert_used_count=u32:9",
     "expert_used_count is 9; it must be between 1 and expert_count 8"},
    {"--arch qwen3moe --set qwen3moe.expert_feed_forward_length=u32:64", "ffn_gate_exps.weight: dimension 1 is 128"},
    {"--arch qwen3moe --set qwen3moe.expert_gating_func=u32:4", "expert_gating_func is 4; it must be between 0 and 3"},
    {"--arch qwen3moe --set qwen3moe.expert_group_count=u32:3",
     "expert_count 8 is not a multiple of expert_group_count 3"},
    {"--arch qwen3moe --set qwen3moe.expert_group_count=u32:8 --set qwen3moe.expert_group_used_count=u32:1",
     "expert_used_count 2 is more than the 1 experts of 1 groups of 1"},
    {"--arch qwen3moe --set qwen3moe.expert_group_count=u32:4 --set qwen3moe.expert_group_used_count=u32:5",
     "expert_group_used_count is 5; it must be between 1 and expert_group_count 4"},
    /* which crashed, since such a layer has no feed-forward at all */
    {"--arch gpt-oss --set gpt-oss.leading_dense_block_count=u32:1",
     "layer 0 has no experts, but every layer of a gpt-oss"},
    {"--arch gpt-oss --set gpt-oss.interleave_moe_layer_step=u32:2",
     "layer 0 has no experts, but every layer of a gpt-oss"},
    {"--arch qwen3 --set qwen3.expert_count=u32:8", "qwen3.expert_count is 8, but qwen3 models have no experts"},
    {"--arch deepseek2 --drop deepseek2.expert_shared_count", "neither deepseek2.expert_shared_feed_forward"},
    {"--arch llama --key expert_count=u32:4 --key expert_used_count=u32:2 --split-experts --drop-tensor "
     "blk.0.ffn_up.3.weight",
     "the tensor blk.0.ffn_up.3.weight is missing"},
    {"--arch gemma2 --set gemma2.attention.sliding_window=i32:-1", "attention.sliding_window is -1"},
    {"--arch gemma2 --set gemma2.attention.sliding_window_pattern=string:x",
     "sliding_window_pattern must be an integer"},
    {"--arch gpt-oss --layers 3 --set gpt-oss.attention.sliding_window_pattern=bool[]:1,0",
     "sliding_window_pattern has 2 values, but block_count is 3"},
    {"--arch gemma3 --set gemma3.rope.scaling.type=string:dynamic", "RoPE scaling of type dynamic"},
    {"--arch gpt-oss --drop-tensor blk.0.attn_sinks.weight", "the tensor blk.0.attn_sinks.weight is missing"},
    {"--arch deepseek2 --layers 2 --drop deepseek2.attention.kv_lora_rank", "has no deepseek2.attention.kv_lora_rank"},
    {"--arch deepseek2 --layers 2 --set deepseek2.attention.kv_lora_rank=u32:32", "dimension 1 is 80"},
    {"--arch deepseek2 --layers 2 --set deepseek2.rope.dimension_count=u32:48",
     "leaves nothing of attention.key_length_mla 48"},
    {"--arch deepseek2 --layers 2 --drop-tensor blk.1.attn_k_b.weight", "the tensor blk.1.attn_k_b.weight is missing"},
    {"--arch lfm2 --layers 3 --set lfm2.attention.head_count_kv=u32[]:0,0,0",
     "lfm2.attention.head_count_kv is 0 in every layer"},
    {"--arch lfm2 --layers 3 --set lfm2.shortconv.l_cache=u32:1", "lfm2.shortconv.l_cache is 1"},
    {"--arch apertus --drop xielu.beta", "xielu.beta must hold a number for each of 1 layers"},
    {"--arch apertus --layers 2 --set xielu.eps=f32[]:0", "xielu.eps must hold a number for each of 2 layers"},
    {"--arch gpt2 --drop-tensor position_embd.weight", "the tensor position_embd.weight is missing"},
    {"--arch gptneox --set gptneox.use_parallel_residual=u32:1",
     "use_parallel_residual is of type u32; it must be a bool"},
    {"--arch qwen2 --fused --drop-tensor blk.0.attn_qkv.weight", "the tensor blk.0.attn_q.weight is missing"},
    {"--arch llama --set llama.nextn_predict_layers=u32:1",
     "nextn_predict_layers 1 leaves none of block_count 1 layers"},
    {"--set llama.block_count=u32:2", "the tensor blk.1.attn_norm.weight is missing"},
    {"--set llama.block_count=u32:4096", "the tensor blk.1.attn_norm.weight is missing"},
    {"--set llama.expert_count=u32:8", "llama.expert_used_count is 0; it must be between 1 and expert_count 8"},
    {"--set llama.rope.freq_base=f32:0", "llama.rope.freq_base is 0"},
    {"--set llama.rope.freq_base=f32:-1", "llama.rope.freq_base is -1"},
    {"--set llama.rope.freq_base=f32:nan", "llama.rope.freq_base is nan"},
    {"--set llama.rope.freq_base=f32:inf", "llama.rope.freq_base is inf"},
    {"--set llama.rope.scaling.factor=f32:0", "llama.rope.scaling.factor is 0"},
    {"--set llama.rope.scaling.factor=f32:nan", "llama.rope.scaling.factor is nan"},
    {"--set llama.rope.scale_linear=f32:-2", "llama.rope.scale_linear is -2"},
    {"--set llama.rope.scaling.type=string:spiral", "RoPE scaling of type spiral"},
    {"--set llama.attention.layer_norm_rms_epsilon=f32:-1", "llama.attention.layer_norm_rms_epsilon is -1"},
    {"--set llama.attention.layer_norm_rms_epsilon=f32:nan", "llama.attention.layer_norm_rms_epsilon is nan"},
    {"--set llama.attention.layer_norm_rms_epsilon=f32:2", "llama.attention.layer_norm_rms_epsilon is 2"},
    /* missing tensors */
    {"--drop-tensor token_embd.weight", "the tensor token_embd.weight is missing"},
    {"--drop-tensor output_norm.weight", "the tensor output_norm.weight is missing"},
    {"--drop-tensor blk.0.attn_norm.weight", "the tensor blk.0.attn_norm.weight is missing"},
    {"--drop-tensor " Q, "the tensor " Q " is missing"},
    {"--drop-tensor blk.0.attn_k.weight", "the tensor blk.0.attn_k.weight is missing"},
    {"--drop-tensor blk.0.attn_v.weight", "the tensor blk.0.attn_v.weight is missing"},
    {"--drop-tensor blk.0.attn_output.weight", "the tensor blk.0.attn_output.weight is missing"},
    {"--drop-tensor blk.0.ffn_norm.weight", "the tensor blk.0.ffn_norm.weight is missing"},
    {"--drop-tensor blk.0.ffn_gate.weight", "the tensor blk.0.ffn_gate.weight is missing"},
    {"--drop-tensor blk.0.ffn_up.weight", "the tensor blk.0.ffn_up.weight is missing"},
    {"--drop-tensor blk.0.ffn_down.weight", "the tensor blk.0.ffn_down.weight is missing"},
    {"--rename-tensor " Q "=blk.1.attn_q.weight", "the tensor " Q " is missing"},
    /* vocabularies: that nothing worse than an error happens; what each gives is tested with the vocabulary */
    {"--set tokenizer.ggml.tokens=string[]:a,b", NULL},
    {"--set tokenizer.ggml.tokens=string[]:", NULL},
    {"--set tokenizer.ggml.tokens=u32[]:1,2", NULL},
    {"--set tokenizer.ggml.tokens=string:a", NULL},
    {"--drop tokenizer.ggml.tokens", NULL},
    {"--set tokenizer.ggml.scores=f32[]:1,2", NULL},
    {"--set tokenizer.ggml.scores=string[]:a", NULL},
    {"--set tokenizer.ggml.scores=f32:1", NULL},
    {"--drop tokenizer.ggml.scores", NULL},
    {"--set tokenizer.ggml.token_type=i32[]:1", NULL},
    {"--set tokenizer.ggml.token_type=f32[]:1", NULL},
    {"--drop tokenizer.ggml.token_type", NULL},
    {"--set tokenizer.ggml.model=string:gpt2", NULL},
    {"--set tokenizer.ggml.model=string:unheard-of", NULL},
    {"--set tokenizer.ggml.model=u32:1", NULL},
    {"--set tokenizer.ggml.bos_token_id=u32:20", NULL},
    {"--set tokenizer.ggml.bos_token_id=u32:0xFFFFFFFF", NULL},
    {"--set tokenizer.ggml.eos_token_id=i64:-5", NULL},
    {"--set tokenizer.ggml.eos_token_id=string:a", NULL},
    {"--set tokenizer.ggml.add_bos_token=u32:7", NULL},
    {"--set tokenizer.chat_template=u32:7", NULL},
    {"--vocab-kind bpe --set tokenizer.ggml.merges=string[]:nothing,a", NULL},
    {"--vocab-kind bpe --set tokenizer.ggml.merges=u32[]:1,2", NULL},
    {"--vocab-kind bpe --drop tokenizer.ggml.merges", NULL},
    {"--vocab-kind bpe --drop tokenizer.ggml.pre", NULL},
    {"--vocab-kind bpe --pre unheard-of", NULL},
    {"--vocab-kind none", NULL},
};

static void test_variants(void) {
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        image im = make(LLAMA, variants[i].options);
        gguf_error err = {0};
        put_memory_file(&im);
        open_model(memory_path, false, variants[i].text ? MODEL : DECODE, &err);
        if (variants[i].text) {
            expect(variants[i].options, &err, GGUF_ERR_MODEL, variants[i].text);
        } else {
            CHECK(is_sound(&err) && (err.code == GGUF_OK || err.code == GGUF_ERR_MODEL));
        }
        free(im.data);
    }
}

/* Weights that are no numbers are found when they are met, not sampled from. */
static void test_not_finite(void) {
    static const struct {
        const char *tensor, *text;
        uint32_t value;
        int width;
    } rows[] = {
        {"blk.0.attn_norm.weight", "not finite", 0x7FC00000, 4}, {"blk.0.ffn_norm.weight", "not finite", 0x7F800000, 4},
        {"output_norm.weight", "not finite", 0xFF800000, 4},     {Q, "not finite", 0x7E00, 2},
        {"blk.0.attn_v.weight", "not finite", 0x7C00, 2},        {"blk.0.ffn_down.weight", "not finite", 0x7E00, 2},
        {"token_embd.weight", "not finite", 0x7C00, 2},          {LAST, "not finite", 0x7E00, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        image im = make(LLAMA, "");
        gguf_error err = {0};
        size_t at = locate(&im, DATA, rows[i].tensor);
        memcpy(im.data + at, &rows[i].value, (size_t)rows[i].width);
        put_memory_file(&im);
        open_model(memory_path, false, DECODE, &err);
        expect(rows[i].tensor, &err, GGUF_ERR_RUN, rows[i].text);
        free(im.data);
    }
}

/* ---- other files ----------------------------------------------------------------------------------- */

static const struct {
    const char *name, *bytes;
    size_t n; /* 0: to the end of the text */
    const char *text;
} others[] = {
    {"Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", 0, "Git LFS pointer"},
    {"HTML", "<!DOCTYPE html><html><body>404</body></html>", 0, "HTML page"},
    {"HTML in small letters", "<!doctype html>", 0, "HTML page"},
    {"HTML without a type", "<html lang=en>", 0, "HTML page"},
    {"ZIP", "PK\3\4\24\0\0\0", 8, "ZIP archive"},
    {"safetensors", "\x20\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}      ", 48, "safetensors"},
    {"GGML", "lmgg\1\0\0\0", 8, "GGML file of early 2023"},
    {"GGMF", "fmgg\1\0\0\0", 8, "GGMF file"},
    {"GGJT", "tjgg\3\0\0\0", 8, "GGJT file"},
    {"GGLA", "algg\1\0\0\0", 8, "GGLA adapter"},
    {"gzip", "\x1f\x8b\x08\0", 4, "gzip"},
    {"zstd", "\x28\xb5\x2f\xfd\4", 5, "zstd"},
    {"text", "Once upon a time\n", 0, "is not a GGUF file: it begins with the bytes 4f 6e 63 65"},
    {"JSON", "{\"model_type\": \"llama\"}", 0, "is not a GGUF file"},
    {"pickle", "\x80\2}q\0.", 6, "is not a GGUF file"},
    {"control characters", "\x1b[2J\x1b[H", 0, "is not a GGUF file"},
    {"zeros", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, "is not a GGUF file"},
    {"one byte", "G", 0, "only 1 bytes long"},
    {"three bytes", "GGU", 0, "only 3 bytes long"},
    {"another byte", "g", 0, "is not a GGUF file"},
    {"the magic alone", "GGUF", 0, "at byte 4: the version needs 4 bytes"},
    {"half a version", "GGUF\3\0", 6, "at byte 4: the version needs 4 bytes"},
    {"no counts", "GGUF\3\0\0\0", 8, "at byte 8: the number of tensors needs 8 bytes"},
    {"one count", "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16, "at byte 16: the number of keys needs 8 bytes"},
    {"a key that is not there", "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 24,
     "at byte 16: 1 keys cannot stand in the 0 bytes"},
    {"a tensor that is not there", "GGUF\3\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24,
     "at byte 8: 1 tensors cannot stand"},
    {"nothing at all", "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, "general.architecture"},
    {"big-endian", "FUGG\0\0\0\3", 8, "big-endian"},
    {"version 1", "GGUF\1\0\0\0\0\0\0\0\0\0\0\0", 16, "version 1"},
};

static void test_others(void) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t n = others[i].n ? others[i].n : strlen(others[i].bytes);
        uint8_t *copy = malloc(n); /* exactly so long, so that a sanitizer sees a byte too many */
        if (!copy) abort();
        memcpy(copy, others[i].bytes, n);
        image im = {copy, n};
        gguf_error err = {0};
        parse(&im, &err);
        if (!strstr(others[i].text, "general.architecture"))
            expect(others[i].name, &err, GGUF_ERR_MODEL, others[i].text);
        put_memory_file(&im);
        for (int no_mmap = 0; no_mmap < 2; no_mmap++) {
            err = (gguf_error){0};
            open_model(memory_path, no_mmap, DECODE, &err);
            expect(others[i].name, &err, GGUF_ERR_MODEL, others[i].text);
        }
        free(copy);
    }
    gguf_error err = {0};
    CHECK(gguf_file_parse(NULL, 0, "file", &err) == NULL);
    expect("no bytes", &err, GGUF_ERR_MODEL, "empty");
}

/* ---- every truncation, every bit -------------------------------------------------------------------- */

typedef enum { BY_MMAP, BY_READ, BY_PARSE } access_mode;

static bool survives(const image *im, access_mode how) {
    gguf_error err = {0};
    if (how == BY_PARSE) {
        parse(im, &err);
    } else {
        open_model(memory_path, how == BY_READ, DECODE, &err);
    }
    bool known = err.code == GGUF_OK || err.code == GGUF_ERR_MODEL || err.code == GGUF_ERR_MEMORY;
    bool ran =
        how != BY_PARSE && (err.code == GGUF_ERR_RUN || err.code == GGUF_ERR_USAGE); /* NaN; ids 0 and 1 not there */
    return is_sound(&err) && (known || ran);
}

static void test_truncations(const image *im, access_mode how) {
    put_memory_file(im);
    for (size_t n = im->n; n-- > 0;) {
        image part = {malloc(n ? n : 1), n};
        if (!part.data) abort();
        memcpy(part.data, im->data, n);
        CHECK(ftruncate(memory_file, (off_t)n) == 0);
        gguf_error err = {0};
        if (how == BY_PARSE) {
            parse(&part, &err);
        } else {
            open_model(memory_path, how == BY_READ, MODEL, &err);
        }
        CHECK(err.code == GGUF_ERR_MODEL && is_sound(&err)); /* no part of a model is a model */
        free(part.data);
    }
}

static void test_flips(image *im, access_mode how) {
    put_memory_file(im);
    for (size_t at = 0; at < im->n; at++) {
        for (int bit = 0; bit < 8; bit++) {
            im->data[at] ^= (uint8_t)(1 << bit);
            if (how != BY_PARSE) CHECK(pwrite(memory_file, &im->data[at], 1, (off_t)at) == 1);
            bool ok = survives(im, how);
            if (!ok) fprintf(stderr, "byte %zu, bit %d\n", at, bit);
            CHECK(ok);
            im->data[at] ^= (uint8_t)(1 << bit);
        }
        if (how != BY_PARSE) CHECK(pwrite(memory_file, &im->data[at], 1, (off_t)at) == 1);
    }
}

static void test_damage(access_mode how) {
    static const char *const seeds[] = {LLAMA, SMOLLM3};
    for (size_t i = 0; i < 2; i++) {
        image im = make(seeds[i], "");
        gguf_error err = {0};
        put_memory_file(&im);
        open_model(memory_path, how == BY_READ, DECODE, &err);
        expect("the seed", &err, GGUF_OK, "");
        test_truncations(&im, how);
        test_flips(&im, how);
        free(im.data);
    }
}

static void test_table(void) {
    test_patches(patches, sizeof patches / sizeof *patches, PARSE);
    test_patches(model_patches, sizeof model_patches / sizeof *model_patches, MODEL);
    test_wrapping_end();
    test_variants();
    test_not_finite();
    test_others();
}

int main(int argc, char **argv) {
    static const char *const modes[] = {[BY_MMAP] = "mmap", [BY_READ] = "no-mmap", [BY_PARSE] = "memory"};
    const char *mode = argc > 1 ? argv[1] : "table";
    open_memory_file();
    if (strcmp(mode, "table") == 0) test_table();
    for (int i = 0; i < 3; i++) {
        if (strcmp(mode, modes[i]) == 0) test_damage((access_mode)i);
    }
    close(memory_file);
    return check_summary();
}
