"""Write the model as GGUF: python export.py MODEL.pt TOKENIZER.json OUT.gguf --type F16|Q8_0|Q4_K_M"""
import argparse
import json

import gguf
import numpy as np

import quant
from chat import CONTROL, END, IM_END, MARKS, TEMPLATE
from model import load

NAME = "Tales 5M"
ABOUT = "A small storyteller that also does sums and word games. All of its text was made by rules."
FILE_TYPES = {"F16": 1, "Q8_0": 7, "Q4_K_M": 15}


def kind_of(name, layers, mix):
    """The type of a matrix. Q4_K_M spends six bits on the embeddings and on half of the v and down matrices."""
    if mix != "Q4_K_M":
        return mix
    if name.startswith("token_embd"):
        return "Q6_K"
    if "attn_v" in name or "ffn_down" in name:
        i = int(name.split(".")[1])
        if i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2:
            return "Q6_K"
    return "Q4_K"


def write_tensor(out, name, x, kind):
    if x.ndim == 1:
        out.add_tensor(name, x.astype(np.float32))
    elif kind == "F16":
        out.add_tensor(name, x.astype(np.float16))
    else:
        out.add_tensor(name, quant.encode(x, kind), raw_dtype=gguf.GGMLQuantizationType[kind])


def write_about(out, cfg, mix):
    out.add_name(NAME)
    out.add_author("the project")
    out.add_license("mit")
    out.add_description(ABOUT)
    out.add_size_label("5M")
    out.add_file_type(FILE_TYPES[mix])
    out.add_quantization_version(2)
    out.add_context_length(cfg.context)
    out.add_embedding_length(cfg.dim)
    out.add_block_count(cfg.layers)
    out.add_feed_forward_length(cfg.ffn)
    out.add_head_count(cfg.heads)
    out.add_head_count_kv(cfg.kv_heads)
    out.add_layer_norm_rms_eps(cfg.eps)
    out.add_rope_freq_base(cfg.rope_base)
    out.add_rope_dimension_count(cfg.head_dim)
    out.add_vocab_size(cfg.vocab)


def write_tokenizer(out, path):
    data = json.load(open(path))
    vocab, merges = data["model"]["vocab"], data["model"]["merges"]
    tokens = sorted(vocab, key=vocab.get)
    kinds = {**{t: gguf.TokenType.CONTROL for t in CONTROL}, **{t: gguf.TokenType.USER_DEFINED for t in MARKS}}
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("smollm")
    out.add_token_list(tokens)
    out.add_token_types([kinds.get(t, gguf.TokenType.NORMAL) for t in tokens])
    out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    out.add_bos_token_id(vocab[END])
    out.add_eos_token_id(vocab[END])
    out.add_eot_token_id(vocab[IM_END])
    out.add_pad_token_id(vocab[END])
    out.add_add_bos_token(False)
    out.add_chat_template(TEMPLATE)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("model")
    ap.add_argument("tokenizer")
    ap.add_argument("out")
    ap.add_argument("--type", choices=FILE_TYPES, default="F16")
    o = ap.parse_args()
    model = load(o.model)
    out = gguf.GGUFWriter(o.out, "smollm3")
    write_about(out, model.cfg, o.type)
    write_tokenizer(out, o.tokenizer)
    for name, x in model.state_dict().items():
        write_tensor(out, name, x.float().numpy(), kind_of(name, model.cfg.layers, o.type))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    main()
