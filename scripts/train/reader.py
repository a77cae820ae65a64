"""Read a GGUF back into the PyTorch model, with the gguf package's own decoding of the weights."""
import gguf
import torch
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from model import Config, Model


def load_gguf(path):
    """(model, tokenizer) of a file written by export.py."""
    r = gguf.GGUFReader(path)
    get = lambda key: r.fields[key].contents()
    arch = lambda key: get("smollm3." + key)
    cfg = Config(vocab=arch("vocab_size"), dim=arch("embedding_length"), ffn=arch("feed_forward_length"),
                 layers=arch("block_count"), heads=arch("attention.head_count"), kv_heads=arch("attention.head_count_kv"),
                 context=arch("context_length"), eps=arch("attention.layer_norm_rms_epsilon"), rope_base=arch("rope.freq_base"))
    model = Model(cfg)
    weights = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).astype("float32")) for t in r.tensors}
    model.load_state_dict(weights)
    return model.eval(), tokenizer_of(get)


def tokenizer_of(get):
    tokens, kinds = get("tokenizer.ggml.tokens"), get("tokenizer.ggml.token_type")
    merges = [tuple(m.split(" ")) for m in get("tokenizer.ggml.merges")]
    tok = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    normal = gguf.TokenType.NORMAL
    tok.add_special_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, kinds) if k != normal])
    return tok
