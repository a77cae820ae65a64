#!/usr/bin/env python3
"""Checks scripts/reference.py against the transformers library: small models with random weights, both in float64.

    check_reference.py [ARCH ...]

For every architecture that transformers has, its weights are named as GGUF files name them, in the order and the
layout that converters write, and the logits of both are compared; the error is a normalised mean square. It needs
torch and transformers, and is run by hand whenever a row of reference.ARCHS changes.
"""

import re
import sys
import warnings

import numpy as np
import reference
import torch
import transformers as hf

N_IDS, N_EMBD, N_FF, N_LAYER, N_HEAD, N_KV, N_VOCAB, N_CTX = 24, 64, 48, 4, 4, 2, 96, 128
BASE = dict(vocab_size=N_VOCAB, hidden_size=N_EMBD, intermediate_size=N_FF, num_hidden_layers=N_LAYER,
            num_attention_heads=N_HEAD, num_key_value_heads=N_KV, max_position_embeddings=N_CTX, pad_token_id=0,
            bos_token_id=1, eos_token_id=2)  # fmt: skip

# transformers' names to GGUF's; the first that matches a name's end counts. %d is the layer.
NAMES = [
    (r"embed_tokens|wte|embed_in|word_embeddings", "token_embd"),
    (r"word_embeddings_layernorm|embedding_norm", "token_embd_norm"),
    (r"wpe", "position_embd"),
    (r"(model|transformer|gpt_neox)\.(norm|final_layernorm|ln_f|norm_f|final_layer_norm)", "output_norm"),
    (r"lm_head", "output"),
    (r"input_layernorm|ln_1|norm_1|attention_layernorm|operator_norm|ln_mlp", "blk.%d.attn_norm"),
    (r"ln_attn", "blk.%d.attn_norm_2"),
    (r"post_attention_layernorm|ln_2|norm_2|feedforward_layernorm|ffn_norm|pre_feedforward_layernorm", "blk.%d.ffn_norm"),
    (r"qkv_proj|c_attn|query_key_value|Wqkv", "blk.%d.attn_qkv"),
    (r"(?:self_)?(?:attn|attention)\.(?:o_proj|dense|out_proj|c_proj)", "blk.%d.attn_output"),
    (r"self_attn\.([qkv])_proj", r"blk.%d.attn_\1"),
    (r"self_attn\.(q|query)_(norm|layernorm)", "blk.%d.attn_q_norm"),
    (r"self_attn\.(k|key)_(norm|layernorm)", "blk.%d.attn_k_norm"),
    (r"sinks", "blk.%d.attn_sinks.weight"),
    (r"shared_experts?\.(gate|up|down)_proj", r"blk.%d.ffn_\1_shexp"),
    (r"shared_expert_gate", "blk.%d.ffn_gate_inp_shexp"),
    (r"moe_statics\.e_score_correction_bias|gate\.e_score_correction_bias", "blk.%d.exp_probs_b.bias"),
    (r"mlp\.gate|mlp\.router|block_sparse_moe\.router|feed_forward\.router", "blk.%d.ffn_gate_inp"),
    (r"experts\.down_proj", "blk.%d.ffn_down_exps.weight"),
    (r"experts\.down_proj_bias", "blk.%d.ffn_down_exps.bias"),
    (r"experts\.gate_up_proj", "blk.%d.ffn_gate_up_exps.weight"),
    (r"experts\.gate_up_proj_bias", "blk.%d.ffn_gate_up_exps.bias"),
    (r"gate_up_proj", "blk.%d.ffn_up"),  # phi3, glm4: one tensor
    (r"(gate|up|down)_proj", r"blk.%d.ffn_\1"),
    (r"fc1|mlp\.c_fc|dense_h_to_4h", "blk.%d.ffn_up"),
    (r"fc2|mlp\.c_proj|dense_4h_to_h", "blk.%d.ffn_down"),
    (r"w1", "blk.%d.ffn_gate"),
    (r"w3", "blk.%d.ffn_up"),
    (r"w2", "blk.%d.ffn_down"),
    (r"conv\.(conv|in_proj|out_proj)", r"blk.%d.shortconv.\1"),
    (r"(q_a|q_b|kv_b)_proj", r"blk.%d.attn_\1"),
    (r"kv_a_proj_with_mqa", "blk.%d.attn_kv_a_mqa"),
    (r"(q_a|kv_a)_layernorm", r"blk.%d.attn_\1_norm"),
]
POST = [  # where a norm stands behind the block
    (r"post_attention_layernorm|post_self_attn_layernorm", "blk.%d.post_attention_norm"),
    (r"post_feedforward_layernorm|post_mlp_layernorm", "blk.%d.post_ffw_norm"),
]


def gguf_name(name, first):
    found = re.search(r"\.(\d+)\.", name)
    layer = found.group(1) if found else ""
    stem, end = re.match(r"(.*?)(\.weight|\.bias)?$", name).groups()
    for pattern, to in first + NAMES:
        m = re.search("(?:^|[.])(?:" + pattern + ")$", stem)
        if m:
            groups = re.search("(?:" + pattern + ")$", stem)
            return groups.expand(to).replace("%d", layer) + (end or "")
    sys.exit("no name for %s" % name)


def pairs(w, n_head):
    """Rows of a head from halves to neighbours, as converters do for architectures whose RoPE turns neighbours."""
    return w.reshape(n_head, 2, -1, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def grouped_qkv(w, n_kv, shared):
    """[n_kv][shared + 2][head size] rows to all q, all k, all v."""
    w = w.reshape(n_kv, shared + 2, -1, *w.shape[1:])
    flat = lambda x: x.reshape(-1, *w.shape[3:])
    return np.concatenate([flat(w[:, :shared]), flat(w[:, shared]), flat(w[:, shared + 1])])


class Case:
    def __init__(self, arch, model, config=None, keys=None, permute=False, one_plus=False, post=None,
                 rename=None, fix=None, base=BASE):  # fmt: skip
        self.arch, self.model, self.config, self.keys = arch, model, config or {}, keys or {}
        self.permute, self.one_plus, self.names, self.fix, self.base = permute, one_plus, (rename or []) + (post or []), fix, base


def fix_stablelm(t, config):
    for layer in range(N_LAYER):
        for x, n in (("q", N_HEAD), ("k", N_KV)):
            name = "blk.%d.attn_%s_norm." % (layer, x)
            t[name + "weight"] = np.stack([t.pop(name + "norms.%d.weight" % h) for h in range(n)])
    return t


def fix_gpt2(t, config):
    return {n: w.T if re.search(r"(attn_|ffn_)\w+\.weight", n) and w.ndim == 2 else w for n, w in t.items()}


def fix_grouped(n_kv, shared):
    return lambda t, config: {n: grouped_qkv(w, n_kv, shared) if "attn_qkv" in n else w for n, w in t.items()}


def fix_gpt_oss(t, config):
    """Gate and up alternate; experts are stored transposed."""
    out = {}
    for n, w in t.items():
        if "gate_up_exps.bias" in n:
            out[n.replace("gate_up", "gate")], out[n.replace("gate_up", "up")] = w[:, ::2], w[:, 1::2]
        elif "gate_up_exps" in n:
            w = w.swapaxes(1, 2)
            out[n.replace("gate_up", "gate")], out[n.replace("gate_up", "up")] = w[:, ::2], w[:, 1::2]
        else:
            out[n] = w.swapaxes(1, 2) if n.endswith("down_exps.weight") else w
    return out


def fix_llama4(t, config):
    return {n: w.swapaxes(1, 2) if "exps.weight" in n else w for n, w in t.items()}


def fix_latent(t, config):
    for layer in range(N_LAYER):
        w = t.pop("blk.%d.attn_kv_b.weight" % layer).reshape(N_HEAD, -1, config["kv_lora_rank"])
        plain = config["qk_nope_head_dim"]
        t["blk.%d.attn_k_b.weight" % layer] = w[:, :plain].swapaxes(1, 2)
        t["blk.%d.attn_v_b.weight" % layer] = w[:, plain:]
    return t


def fix_granitemoe(t, config):
    out = {}
    for n, w in t.items():
        if n.endswith("input_linear.weight"):
            prefix = n[: n.index("ffn")] if "ffn" in n else n
            out[prefix + "ffn_gate_shexp.weight"], out[prefix + "ffn_up_shexp.weight"] = np.split(w, 2)
        else:
            out[n] = w
    return out


ROPE = lambda base=10000.0, **more: dict(rope_parameters=dict(rope_type="default", rope_theta=base) | more)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0)
YARN_KEYS = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 32}
LONG = dict(rope_type="longrope", factor=4.0, original_max_position_embeddings=32, short_factor=[1.0 + i / 8 for i in range(8)],
            long_factor=[1.5 + i for i in range(8)])  # fmt: skip
MOE = {"expert_count": 8, "expert_used_count": 2}
WINDOW = {"attention.sliding_window": 8}
LATENT = dict(n_routed_experts=8, moe_intermediate_size=16, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=8,
              qk_rope_head_dim=8, v_head_dim=8, first_k_dense_replace=1, num_experts_per_tok=2, n_shared_experts=2,
              num_key_value_heads=4)  # fmt: skip
LATENT_KEYS = MOE | {"attention.key_length_mla": 16, "attention.value_length_mla": 8, "rope.dimension_count": 8,
                     "attention.head_count_kv": 1, "leading_dense_block_count": 1}  # fmt: skip
OLMO2_NAMES = [(r"self_attn\.q_norm", "blk.%d.attn_q_norm"), (r"self_attn\.k_norm", "blk.%d.attn_k_norm")] + POST

CASES = [
    Case("llama", "Llama", ROPE(), permute=True),
    Case("llama", "Llama", dict(attention_bias=True, mlp_bias=True) | ROPE(5e5, rope_type="linear", factor=2.0),
         {"rope.freq_base": 5e5, "rope.scaling.factor": 2.0}, permute=True),  # fmt: skip
    Case("llama", "Mixtral", dict(num_local_experts=8, num_experts_per_tok=2), MOE | {"rope.freq_base": 1e6} , permute=True),
    Case("smollm3", "SmolLM3", dict(no_rope_layer_interval=4) | ROPE(2e6), {"rope.freq_base": 2e6}, permute=True),
    Case("mistral3", "Ministral3", dict(sliding_window=None, head_dim=16, rope_parameters=YARN | dict(rope_theta=1e6, mscale=1.0, mscale_all_dim=1.0,
         llama_4_scaling_beta=0.1)), YARN_KEYS | {"rope.freq_base": 1e6, "rope.scaling.yarn_log_multiplier": 1.0,
         "attention.temperature_scale": 0.1, "rope.scaling.original_context_length": 32}, permute=True),  # fmt: skip
    Case("qwen2", "Qwen2", ROPE(1e6), {"rope.freq_base": 1e6}),
    Case("qwen2", "Qwen2", dict(rope_parameters=YARN | dict(rope_theta=1e4)), YARN_KEYS),
    Case("qwen2moe", "Qwen2Moe", dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=16, norm_topk_prob=False,
         shared_expert_intermediate_size=24), MOE),  # fmt: skip
    Case("qwen3", "Qwen3", dict(head_dim=24), {"attention.key_length": 24, "attention.value_length": 24}),
    Case("qwen3moe", "Qwen3Moe", dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=16, norm_topk_prob=True,
         head_dim=16), MOE),  # fmt: skip
    Case("phi2", "Phi", dict(partial_rotary_factor=0.5), {"rope.dimension_count": 8}),
    Case("phi3", "Phi3", dict(sliding_window=8, original_max_position_embeddings=N_CTX), WINDOW),
    Case("phi3", "Phi3", dict(rope_parameters=LONG | dict(rope_theta=1e4), original_max_position_embeddings=32, max_position_embeddings=128),
         {"rope.scaling.original_context_length": 32, "rope.scaling.attn_factor": float(np.sqrt(1 + np.log(4) / np.log(32))), "context_length": 128, "ctx": 32}),  # fmt: skip
    Case("gemma", "Gemma", dict(head_dim=16), one_plus=True),
    Case("gemma2", "Gemma2", dict(head_dim=24, query_pre_attn_scalar=24, sliding_window=8, attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
         WINDOW | {"attention.key_length": 24, "attention.value_length": 24, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}, one_plus=True, post=POST),  # fmt: skip
    Case("gemma3", "Gemma3Text", dict(head_dim=24, query_pre_attn_scalar=24, sliding_window=8, num_hidden_layers=7,
         rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=1e4))),
         WINDOW | {"attention.key_length": 24, "attention.value_length": 24, "rope.freq_base": 1e6, "rope.scaling.factor": 8.0}, one_plus=True, post=POST),  # fmt: skip
    Case("granite", "Granite", dict(embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.1, logits_scaling=8.0),
         {"embedding_scale": 12.0, "residual_scale": 0.22, "attention.scale": 0.1, "logit_scale": 8.0}, permute=True),  # fmt: skip
    Case("granitemoe", "GraniteMoeShared", dict(num_local_experts=8, num_experts_per_tok=2, shared_intermediate_size=24, embedding_multiplier=12.0,
         residual_multiplier=0.22, attention_multiplier=0.1, logits_scaling=8.0), MOE | {"embedding_scale": 12.0, "residual_scale": 0.22,
         "attention.scale": 0.1, "logit_scale": 8.0}, permute=True, rename=[(r"shared_mlp\.input_linear", "blk.%d.ffn_input_linear"),
         (r"shared_mlp\.output_linear", "blk.%d.ffn_down_shexp")], fix=fix_granitemoe),  # fmt: skip
    Case("olmo", "Olmo", dict(clip_qkv=0.5), {"attention.clamp_kqv": 0.5, "attention.layer_norm_epsilon": 1e-5}, permute=True),
    Case("olmo2", "Olmo2", {}, post=OLMO2_NAMES),
    Case("olmo2", "Olmo3", dict(sliding_window=8), WINDOW, post=OLMO2_NAMES),
    Case("olmoe", "Olmoe", dict(num_experts=8, num_experts_per_tok=2, norm_topk_prob=False), MOE),
    Case("stablelm", "StableLm", dict(use_qkv_bias=True, partial_rotary_factor=0.25), {"rope.dimension_count": 4, "use_parallel_residual": False}),
    Case("stablelm", "StableLm", dict(qk_layernorm=True, use_parallel_residual=True, partial_rotary_factor=0.25),
         {"rope.dimension_count": 4, "use_parallel_residual": True}, rename=[(r"self_attn\.([qk])_layernorm\.(norms\.\d+)", r"blk.%d.attn_\1_norm.\2")], fix=fix_stablelm),  # fmt: skip
    Case("starcoder2", "Starcoder2", dict(sliding_window=None)),
    Case("command-r", "Cohere", dict(use_qk_norm=True, logit_scale=0.25), {"logit_scale": 0.25}),
    Case("cohere2", "Cohere2", dict(sliding_window=8, logit_scale=0.25), WINDOW | {"logit_scale": 0.25}),
    Case("exaone4", "Exaone4", dict(sliding_window=8, sliding_window_pattern=4, head_dim=16), WINDOW, post=POST),
    Case("gpt-oss", "GptOss", dict(num_local_experts=8, num_experts_per_tok=2, sliding_window=8, head_dim=16,
         rope_parameters=YARN | dict(rope_theta=150000.0, truncate=False)), MOE | WINDOW | YARN_KEYS | {"rope.freq_base": 150000.0},
         rename=[(r"post_attention_layernorm", "blk.%d.post_attention_norm")], fix=fix_gpt_oss),  # fmt: skip
    Case("glm4", "Glm4", dict(head_dim=16, attention_bias=True, partial_rotary_factor=0.5), {"rope.dimension_count": 8},
         post=[(r"post_attention_layernorm", "blk.%d.ffn_norm"), (r"post_self_attn_layernorm", "blk.%d.post_attention_norm"),
               (r"post_mlp_layernorm", "blk.%d.post_ffw_norm")]),  # fmt: skip
    Case("ernie4_5", "Ernie4_5", dict(head_dim=16, use_bias=False)),
    Case("ernie4_5-moe", "Ernie4_5_Moe", dict(moe_num_experts=8, moe_k=2, moe_intermediate_size=16, moe_num_shared_experts=1,
         moe_layer_start_index=1, moe_layer_interval=1), MOE | {"leading_dense_block_count": 1}),  # fmt: skip
    Case("hunyuan-dense", "HunYuanDenseV1", dict(head_dim=16) | ROPE()),
    Case("seed_oss", "SeedOss", dict(head_dim=24, attention_bias=True, attention_out_bias=False), {"attention.key_length": 24, "attention.value_length": 24},
         rename=[(r"post_attention_layernorm", "blk.%d.post_attention_norm")]),  # fmt: skip
    Case("arcee", "Arcee", dict(head_dim=16), permute=True),
    Case("gpt2", "GPT2", dict(n_embd=N_EMBD, n_layer=N_LAYER, n_head=N_HEAD, n_inner=N_FF, n_positions=N_CTX, vocab_size=N_VOCAB), fix=fix_gpt2, base={}),
    Case("gptneox", "GPTNeoX", dict(rotary_pct=0.25, use_parallel_residual=True), {"rope.dimension_count": 4, "use_parallel_residual": True}, fix=fix_grouped(N_HEAD, 1)),
    Case("gptneox", "GPTNeoX", dict(rotary_pct=0.25, use_parallel_residual=False), {"rope.dimension_count": 4, "use_parallel_residual": False}, fix=fix_grouped(N_HEAD, 1)),
    Case("falcon", "Falcon", dict(new_decoder_architecture=True, num_kv_heads=2, bias=False, alibi=False, ffn_hidden_size=N_FF, parallel_attn=True), fix=fix_grouped(2, 2)),
    Case("falcon", "Falcon", dict(multi_query=True, bias=False, alibi=False, ffn_hidden_size=N_FF, parallel_attn=True), {"attention.head_count_kv": 1}),
    Case("mpt", "Mpt", dict(d_model=N_EMBD, n_layers=N_LAYER, n_heads=N_HEAD, expansion_ratio=4, max_seq_len=N_CTX, vocab_size=N_VOCAB, attn_config=dict(clip_qkv=0.5)),
         {"attention.max_alibi_bias": 8.0, "attention.clamp_kqv": 0.5}, base={}, rename=[(r"ffn\.(up|down)_proj", r"blk.%d.ffn_\1")]),  # fmt: skip
    Case("mpt", "Mpt", dict(d_model=96, n_layers=N_LAYER, n_heads=6, expansion_ratio=2, max_seq_len=N_CTX, vocab_size=N_VOCAB),
         {"attention.max_alibi_bias": 8.0, "attention.head_count": 6, "embedding_length": 96, "attention.head_count_kv": 6}, base={}, rename=[(r"ffn\.(up|down)_proj", r"blk.%d.ffn_\1")]),  # fmt: skip
    Case("bloom", "Bloom", dict(n_layer=N_LAYER, n_head=N_HEAD, vocab_size=N_VOCAB, hidden_size=N_EMBD), fix=fix_grouped(N_HEAD, 1), base={}),
    Case("apertus", "Apertus", ROPE(12e6), {"rope.freq_base": 12e6}),
    Case("llama4", "Llama4Text", dict(num_local_experts=8, num_experts_per_tok=1, intermediate_size_mlp=40, head_dim=16, interleave_moe_layer_step=2,
         attention_chunk_size=8, no_rope_layers=[1, 1, 1, 0], use_qk_norm=True, attn_temperature_tuning=True, floor_scale=6, attn_scale=0.1),
         WINDOW | {"expert_count": 8, "expert_used_count": 1, "interleave_moe_layer_step": 2, "attention.temperature_length": 6, "rope.freq_base": 5e5},
         rename=[(r"feed_forward\.(gate|up|down)_proj", r"blk.%d.ffn_\1"), (r"feed_forward\.shared_expert\.(gate|up|down)_proj", r"blk.%d.ffn_\1_shexp")], fix=fix_llama4),  # fmt: skip
    Case("deepseek2", "DeepseekV3", LATENT | dict(n_group=4, topk_group=2, routed_scaling_factor=2.5, norm_topk_prob=True,
         rope_parameters=YARN | dict(rope_theta=1e4, mscale=1.0, mscale_all_dim=1.0)), LATENT_KEYS | YARN_KEYS | {"expert_gating_func": 2, "expert_weights_norm": True,
         "expert_weights_scale": 2.5, "expert_group_count": 4, "expert_group_used_count": 2, "rope.scaling.yarn_log_multiplier": 0.1}, fix=fix_latent),  # fmt: skip
    Case("deepseek2", "DeepseekV2", LATENT | dict(q_lora_rank=None, topk_method="greedy", n_group=1, topk_group=1, norm_topk_prob=False, routed_scaling_factor=1.0),
         LATENT_KEYS, fix=fix_latent),  # fmt: skip
    Case("lfm2", "Lfm2", dict(layer_types=["conv", "full_attention", "conv", "full_attention"], block_auto_adjust_ff_dim=False, conv_L_cache=3, rope_theta=1e6),
         {"attention.head_count_kv": [0, N_KV, 0, N_KV], "rope.freq_base": 1e6}),  # fmt: skip
]


class Weights:
    """What reference.Model reads of a file."""

    def __init__(self, keys, tensors):
        f64 = reference.TYPES[28]
        self.keys = keys
        self.tensors = {n: (f64, w.shape, np.ascontiguousarray(w).view(np.uint8)) for n, w in tensors.items()}


def randomise(model, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in list(model.named_parameters()) + list(model.named_buffers()):
        if not p.is_floating_point() or re.search("inv_freq|embed_scale", name) or re.search(r"act_fn\.(beta|eps)", name):
            continue
        x = torch.randn(p.shape, generator=g, dtype=torch.float64)
        if re.search("norm|ln_", name) and name.endswith("weight"):
            x = 1 + 0.1 * x
        else:
            x = x * (0.1 if p.ndim < 2 else 1.2 / p.shape[-1] ** 0.5)
        with torch.no_grad():
            p.copy_(x)


def softplus(x):
    return np.log1p(np.exp(x))


def take_xielu(t, keys):
    """transformers holds what softplus makes alpha of."""
    for n in ("alpha_p", "alpha_n", "beta", "eps"):
        keys["xielu." + n] = [float(t["model.layers.%d.mlp.act_fn.%s" % (i, n)].reshape(-1)[0]) for i in range(N_LAYER)]
    keys["xielu.alpha_p"] = [softplus(x) for x in keys["xielu.alpha_p"]]
    keys["xielu.alpha_n"] = [b + softplus(x) for x, b in zip(keys["xielu.alpha_n"], keys["xielu.beta"])]


def run(case, seed):
    config = {**case.base, **case.config}
    class_name = {"GPT2": "GPT2LMHeadModel", "Llama4Text": "Llama4ForCausalLM",
                  "Gemma3Text": "Gemma3ForCausalLM"}.get(case.model, case.model + "ForCausalLM")
    made = getattr(hf, case.model + "Config")(**config)
    made._attn_implementation = "eager"
    made._experts_implementation = "eager"
    model = getattr(hf, class_name)(made).double().eval()
    randomise(model, seed)
    if case.one_plus:
        with torch.no_grad():
            for n, p in model.named_parameters():
                if "norm" in n:
                    p.sub_(1)
    ids = np.random.default_rng(seed).integers(3, N_VOCAB, N_IDS)
    with torch.no_grad():
        want = model(torch.tensor(ids)[None], use_cache=False).logits[0].numpy()

    n_layer = config.get("num_hidden_layers", N_LAYER)
    keys = {"context_length": N_CTX, "embedding_length": N_EMBD, "block_count": n_layer, "attention.head_count": N_HEAD,
            "attention.head_count_kv": config.get("num_key_value_heads", N_HEAD) if case.base is BASE else N_HEAD}  # fmt: skip
    if case.model in ("GPTNeoX",):
        keys["attention.head_count_kv"] = N_HEAD
    eps = next((getattr(made, n) for n in ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon")
                if isinstance(getattr(made, n, None), float)), 1e-5)  # fmt: skip
    keys |= {"attention.layer_norm_rms_epsilon": eps, "attention.layer_norm_epsilon": eps} | case.keys
    rope = getattr(made, "rope_parameters", None) or {}
    keys.setdefault("rope.freq_base", rope.get("rope_theta", rope.get("full_attention", {}).get("rope_theta", 10000.0)))
    n_ctx = keys.pop("ctx", 0)
    full = {"general.architecture": case.arch} | {case.arch + "." + k: v for k, v in keys.items()}
    state = {n: p.double().numpy() for n, p in model.state_dict().items() if "inv_freq" not in n and "rotary" not in n}
    if case.model == "Apertus":
        take_xielu(state, full)
    tensors = {}
    for n, w in state.items():
        if "act_fn" in n:
            continue
        to = gguf_name(n, case.names)
        if case.permute and re.search(r"attn_[qk]\.(weight|bias)", to):
            w = pairs(w, N_HEAD if "attn_q" in to else N_KV)
        if case.one_plus and "norm" in to:
            w = w + 1
        if "shortconv.conv" in to:
            w = w[:, 0]
        if "exp_probs_b" in to:
            w = w.reshape(-1)
        tensors[to] = w
    if case.fix:
        tensors = case.fix(tensors, config)
    if case.config.get("rope_parameters", {}).get("rope_type") == "longrope":
        for which in ("long", "short"):
            tensors["rope_factors_%s.weight" % which] = np.array(LONG[which + "_factor"])
    m = reference.Model.__new__(reference.Model)
    m.file, m.act = Weights(full, tensors), False
    m.setup()
    return reference.normalised_error(m.logits(ids, n_ctx), want)


def main():
    warnings.filterwarnings("ignore")
    hf.logging.set_verbosity_error()
    chosen, worst = sys.argv[1:], 0
    for i, case in enumerate(CASES):
        if chosen and case.arch not in chosen and case.model not in chosen:
            continue
        try:
            error = run(case, i + 1)
        except Exception as e:  # the others are still worth knowing
            error = "%s: %s" % (type(e).__name__, e)
            worst = 1
        print("%-14s %-16s %s" % (case.arch, case.model, "%.2e" % error if isinstance(error, float) else error), flush=True)
        worst = max(worst, error if isinstance(error, float) else 1)
    return 0 if worst < 1e-12 else 1


if __name__ == "__main__":
    sys.exit(main())
