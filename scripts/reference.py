#!/usr/bin/env python3
"""The forward pass in float64: the logits that the engine's quantized arithmetic should come close to.

    reference.py MODEL --ids 1,2,3 [--act] [--out LOGITS]     float32 little-endian, or .npy as float64
    reference.py MODEL --ids 1,2,3 [--act] --compare LOGITS   prints the normalised mean square error of LOGITS

LOGITS is [n_ids][n_vocab], as `gguf-eval --logits` writes it. Weights are dequantized exactly. With --act the inputs
of quantized matrices are first rounded to int8 blocks, as the engine rounds them, so that only the rounding of
float32 sums is left to differ. The error is mean((a - b)^2) / mean(b^2), b being this program's logits.

Needs numpy, and nothing of the engine but the codebooks of the IQ types: it is a second opinion. A new tensor type is one row of TYPES; a new
architecture is one row of ARCHS, with what it asks of Model.logits().
"""

import argparse
import functools
import math
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# ---- the file -----------------------------------------------------------------------------------------------------

# Value types by number: struct formats, and two that are read otherwise.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class Cursor:
    """Takes values from bytes, one behind the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, n):
        self.at += n
        return self.data[self.at - n : self.at].tobytes()

    def number(self, fmt):
        return struct.unpack("<" + fmt, self.bytes(struct.calcsize("<" + fmt)))[0]

    def string(self):
        return self.bytes(self.number("Q"))

    def value(self, kind):
        if kind == STRING:
            return self.string().decode("utf-8", "replace")
        if kind == ARRAY:
            kind, n = self.number("I"), self.number("Q")
            return [self.value(kind) for _ in range(n)]
        return self.number(NUMBERS[kind])


class File:
    """keys: name -> value. tensors: name -> (type, shape with rows first, bytes). All shards of a split model."""

    def __init__(self, path):
        self.keys, self.tensors = {}, {}
        self.read(path)
        for i in range(1, self.keys.get("split.count", 1)):
            self.read(str(path).replace("-00001-of-", "-%05d-of-" % (i + 1)))

    def read(self, path):
        c = Cursor(np.memmap(path, dtype=np.uint8, mode="r"))
        if c.bytes(4) != b"GGUF" or c.number("I") not in (2, 3):
            sys.exit("%s: is not GGUF of version 2 or 3" % path)
        n_tensors, n_keys = c.number("Q"), c.number("Q")
        keys = {}
        for _ in range(n_keys):
            name = c.string().decode()
            keys[name] = c.value(c.number("I"))
        self.keys = keys | self.keys
        infos = []
        for _ in range(n_tensors):
            name = c.string().decode()
            shape = tuple(c.number("Q") for _ in range(c.number("I")))[::-1]
            infos.append((name, shape, TYPES[c.number("I")], c.number("Q")))
        alignment = keys.get("general.alignment", 32)
        base = -(-c.at // alignment) * alignment
        for name, shape, kind, offset in infos:
            n_bytes = int(np.prod(shape)) // kind.block * kind.bytes
            self.tensors[name] = (kind, shape, c.data[base + offset : base + offset + n_bytes])


# ---- tensor types -------------------------------------------------------------------------------------------------
# Each function takes blocks, uint8 [n][bytes a block], and returns their weights, float64 [n][...].


def half(b):
    """The half at the beginning of each row, as a column."""
    return np.ascontiguousarray(b[:, :2]).view(np.float16).astype(np.float64)


def nibbles(q):
    """The low halves of all bytes, then the high ones."""
    return np.concatenate([q & 15, q >> 4], axis=-1).astype(np.float64)


def bits(q, n):
    """[...][bytes] -> [...][n][bytes]: bit 0 of all bytes, then bit 1, ..."""
    return (q[..., None, :] >> np.arange(n, dtype=np.uint8)[:, None] & 1).astype(np.float64)


def pairs(q):
    """[...][bytes] -> [...][4][bytes]: the lowest two bits of all bytes, then the next, ..."""
    return (q[..., None, :] >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3).astype(np.float64)


def fifth_bits(b):
    """Four bytes -> 32 bits, lowest first."""
    return np.unpackbits(np.ascontiguousarray(b), axis=-1, bitorder="little").astype(np.float64)


def numbers(dtype):
    return lambda b: np.ascontiguousarray(b).view(dtype).astype(np.float64)


def bf16(b):
    return (np.ascontiguousarray(b).view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def q4_0(b):
    return half(b) * (nibbles(b[:, 2:]) - 8)


def q4_1(b):
    return half(b) * nibbles(b[:, 4:]) + half(b[:, 2:])


def q5_0(b):
    return half(b) * (nibbles(b[:, 6:]) + 16 * fifth_bits(b[:, 2:6]) - 16)


def q5_1(b):
    return half(b) * (nibbles(b[:, 8:]) + 16 * fifth_bits(b[:, 4:8])) + half(b[:, 2:])


def q8_0(b):
    return half(b) * b[:, 2:].view(np.int8)


def q8_1(b):
    return half(b) * b[:, 4:].view(np.int8)


def q2_k(b):
    q = pairs(b[:, 16:80].reshape(-1, 2, 32)).reshape(-1, 16, 16)
    return half(b[:, 80:])[:, :, None] * (b[:, :16, None] & 15) * q - half(b[:, 82:])[:, :, None] * (b[:, :16, None] >> 4)


def q3_k(b):
    q = pairs(b[:, 32:96].reshape(-1, 2, 32)).reshape(-1, 8, 32) - 4 * (1 - bits(b[:, :32], 8))
    low = nibbles(b[:, 96:104])
    high = pairs(b[:, 104:108]).reshape(-1, 16)
    return half(b[:, 108:])[:, :, None] * (low + 16 * high - 32)[:, :, None] * q.reshape(-1, 16, 16)


def scales_k4(s):
    """The twelve bytes of Q4_K and Q5_K: eight scales and eight minimums of six bits."""
    a, m, rest = s[:, 0:4], s[:, 4:8], s[:, 8:12]
    scale = np.concatenate([a & 63, rest & 15 | a >> 6 << 4], axis=1)
    minimum = np.concatenate([m & 63, rest >> 4 | m >> 6 << 4], axis=1)
    return scale.astype(np.float64)[:, :, None], minimum.astype(np.float64)[:, :, None]


def with_scales_k4(b, q):
    scale, minimum = scales_k4(b[:, 4:16])
    return half(b)[:, :, None] * scale * q - half(b[:, 2:])[:, :, None] * minimum


def q4_k(b):
    return with_scales_k4(b, nibbles(b[:, 16:].reshape(-1, 4, 32)).reshape(-1, 8, 32))


def q5_k(b):
    return with_scales_k4(b, nibbles(b[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32) + 16 * bits(b[:, 16:48], 8))


def q6_k(b):
    # A half of the block: 64 bytes of low and 32 of high bits make 128 weights.
    low = nibbles(b[:, :128].reshape(-1, 2, 64))
    high = pairs(b[:, 128:192].reshape(-1, 2, 32)).reshape(-1, 2, 128)
    scale = b[:, 192:208].view(np.int8).astype(np.float64)
    return half(b[:, 208:])[:, :, None] * scale[:, :, None] * (low + 16 * high - 32).reshape(-1, 16, 16)


def q8_k(b):
    return np.ascontiguousarray(b[:, :4]).view(np.float32).astype(np.float64) * b[:, 4:260].view(np.int8)


def words(b, dtype):
    """Bytes of each row as little-endian integers, as int64."""
    return np.ascontiguousarray(b).view(dtype).astype(np.int64)


IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float64)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def iq4_nl(b):
    return half(b) * IQ4[nibbles(b[:, 2:]).astype(int)]


def iq4_xs(b):
    low = np.stack([b[:, 4:8] & 15, b[:, 4:8] >> 4], axis=-1).reshape(-1, 8)
    high = words(b[:, 2:4], "<u2") >> (2 * np.arange(8)) & 3
    scale = low + 16 * high - 32
    return half(b)[:, :, None] * scale[:, :, None] * IQ4[nibbles(b[:, 8:].reshape(-1, 8, 16)).astype(int)]


def mxfp4(b):
    return 2.0 ** (b[:, :1].astype(np.float64) - 127) * E2M1[nibbles(b[:, 1:]).astype(int)]


def nvfp4(b):
    exponent, fraction = (b[:, :4] >> 3 & 15).astype(np.float64), (b[:, :4] & 7) / 8
    scale = np.where(exponent > 0, (1 + fraction) * 2 ** (exponent - 7), fraction * 2.0**-6) * (b[:, :4] != 127)
    return scale[:, :, None] * E2M1[nibbles(b[:, 4:].reshape(-1, 4, 8)).astype(int)]


def base_3(q, n):
    """n digits of each byte: all first digits, then all second ones, ... less 1."""
    fraction = q.astype(np.int64)[:, None, :] * 3 ** np.arange(n)[:, None] & 255
    return ((fraction * 3 >> 8) - 1.0).reshape(len(q), -1)


def tq1_0(b):
    return half(b[:, 52:]) * np.concatenate([base_3(b[:, :32], 5), base_3(b[:, 32:48], 5), base_3(b[:, 48:52], 4)], 1)


def tq2_0(b):
    return half(b[:, 64:]) * (pairs(b[:, :64].reshape(-1, 2, 32)).reshape(-1, 256) - 1)


@functools.cache
def codebook(name):
    """The entries of src/quant/iq_grids.c as codes [entries][weights an entry]."""
    source = (Path(__file__).parent.parent / "src/quant/iq_grids.c").read_text()
    body = re.search(name + r"\[\d+ \+ 1\] = \{(.*?)\};", source, re.S)[1]
    entries = np.array([int(x, 16) for x in re.findall("0x[0-9A-F]+", body)])
    return entries[:, None] >> (3 * np.arange(4) if name.startswith("iq3") else 2 * np.arange(8)) & (
        7 if name.startswith("iq3") else 3
    )


IQ2 = np.array([8, 25, 43], np.float64)
IQ3_XXS = np.array([4, 12, 20, 28, 36, 44, 52, 62], np.float64)
IQ3_S = np.arange(1, 16, 2, dtype=np.float64)


def signs(bits8):
    """[...] bytes -> [...][8] of 1 and -1, lowest bit first."""
    return 1.0 - 2 * (bits8[..., None].astype(np.int64) >> np.arange(8) & 1)


def even(bits7):
    """Seven signs -> eight: an even number of them is set."""
    parity = (bits7[..., None] >> np.arange(7) & 1).sum(axis=-1) & 1
    return bits7 | parity << 7


def odd_nibbles(b):
    return (2.0 * np.stack([b & 15, b >> 4], axis=-1).reshape(len(b), -1) + 1)[:, :, None]


def iq2_xxs(b):
    place = b[:, 2:].reshape(-1, 8, 8)[:, :, :4]
    word = words(b[:, 2:], "<u4")[:, 1::2]
    sign = signs(even(word[:, :, None] >> (7 * np.arange(4)) & 127)).reshape(-1, 8, 32)
    scale = (2.0 * (word >> 28) + 1)[:, :, None] / 8
    return half(b)[:, :, None] * scale * sign * IQ2[codebook("iq2_xxs_grid")[place]].reshape(-1, 8, 32)


def iq2_xs(b):
    code = words(b[:, 2:66], "<u2")
    q = signs(even(code >> 9)) * IQ2[codebook("iq2_xs_grid")[code & 511]]
    return half(b)[:, :, None] * odd_nibbles(b[:, 66:]) / 8 * q.reshape(-1, 16, 16)


def iq2_s(b):
    high = np.stack([b[:, 66:74] >> k & 3 for k in (0, 2, 4, 6)], axis=-1).reshape(-1, 32).astype(np.int64)
    q = signs(b[:, 34:66]) * IQ2[codebook("iq2_s_grid")[b[:, 2:34] + 256 * high]]
    return half(b)[:, :, None] * odd_nibbles(b[:, 74:]) / 8 * q.reshape(-1, 16, 16)


def iq3_xxs(b):
    word = words(b[:, 66:], "<u4")
    sign = signs(even(word[:, :, None] >> (7 * np.arange(4)) & 127)).reshape(-1, 8, 32)
    scale = (2.0 * (word >> 28) + 1)[:, :, None] / 4
    return half(b)[:, :, None] * scale * sign * IQ3_XXS[codebook("iq3_xxs_grid")[b[:, 2:66]]].reshape(-1, 8, 32)


def iq3_s(b):
    high = (b[:, 66:74, None] >> np.arange(8) & 1).reshape(-1, 64).astype(np.int64)
    q = IQ3_S[codebook("iq3_s_grid")[b[:, 2:66] + 256 * high]].reshape(-1, 8, 32)
    return half(b)[:, :, None] * odd_nibbles(b[:, 106:]) * signs(b[:, 74:106]).reshape(-1, 8, 32) * q


def iq1_s(b):
    high = words(b[:, 34:], "<u2")
    place = b[:, 2:34] + 256 * (high[:, :, None] >> (3 * np.arange(4)) & 7).reshape(-1, 32)
    shift = 0.125 * (1 - 2 * (high >> 15))[:, :, None]
    scale = (2.0 * (high >> 12 & 7) + 1)[:, :, None]
    return half(b)[:, :, None] * scale * (codebook("iq1_grid")[place].reshape(-1, 8, 32) - 1 + shift)


def iq1_m(b):
    word = words(b[:, 48:], "<u2")
    d = (word >> 12 << (4 * np.arange(4))).sum(axis=1).astype(np.uint16).view(np.float16).astype(np.float64)
    high = np.stack([b[:, 32:48] & 15, b[:, 32:48] >> 4], axis=-1).reshape(-1, 32).astype(np.int64)
    scale = (2.0 * (word[:, :, None] >> (3 * np.arange(4)) & 7) + 1).reshape(-1, 16, 1)
    q = codebook("iq1_grid")[b[:, :32] + 256 * (high & 7)] - 1 + 0.125 * (1 - 2 * (high >> 3))[:, :, None]
    return d[:, None, None] * scale * q.reshape(-1, 16, 16)


@dataclass
class Type:
    name: str
    block: int  # weights
    bytes: int
    decode: object
    act: int = 0  # the length of the int8 blocks of activations, where it is not `block`


TYPES = {
    0: Type("F32", 1, 4, numbers(np.float32)),
    1: Type("F16", 1, 2, numbers(np.float16)),
    2: Type("Q4_0", 32, 18, q4_0),
    3: Type("Q4_1", 32, 20, q4_1),
    6: Type("Q5_0", 32, 22, q5_0),
    7: Type("Q5_1", 32, 24, q5_1),
    8: Type("Q8_0", 32, 34, q8_0),
    9: Type("Q8_1", 32, 36, q8_1),
    10: Type("Q2_K", 256, 84, q2_k),
    11: Type("Q3_K", 256, 110, q3_k),
    12: Type("Q4_K", 256, 144, q4_k),
    13: Type("Q5_K", 256, 176, q5_k),
    14: Type("Q6_K", 256, 210, q6_k),
    15: Type("Q8_K", 256, 292, q8_k),
    16: Type("IQ2_XXS", 256, 66, iq2_xxs),
    17: Type("IQ2_XS", 256, 74, iq2_xs),
    18: Type("IQ3_XXS", 256, 98, iq3_xxs),
    19: Type("IQ1_S", 256, 50, iq1_s),
    20: Type("IQ4_NL", 32, 18, iq4_nl),
    21: Type("IQ3_S", 256, 110, iq3_s),
    22: Type("IQ2_S", 256, 82, iq2_s),
    23: Type("IQ4_XS", 256, 136, iq4_xs),
    24: Type("I8", 1, 1, numbers(np.int8)),
    25: Type("I16", 1, 2, numbers(np.int16)),
    26: Type("I32", 1, 4, numbers(np.int32)),
    27: Type("I64", 1, 8, numbers(np.int64)),
    28: Type("F64", 1, 8, numbers(np.float64)),
    29: Type("IQ1_M", 256, 56, iq1_m),
    30: Type("BF16", 1, 2, bf16),
    34: Type("TQ1_0", 256, 54, tq1_0),
    35: Type("TQ2_0", 256, 66, tq2_0),
    39: Type("MXFP4", 32, 17, mxfp4),
    40: Type("NVFP4", 64, 36, nvfp4, act=32),
}


def round_activations(x, block):
    """Blocks of `block` values as int8 times one float32 scale: amax / 127."""
    b = x.reshape(-1, block).astype(np.float32)
    amax = np.abs(b).max(axis=1, keepdims=True)
    inverse = np.where(amax < 1e-30, np.float32(0), np.float32(127) / np.maximum(amax, np.float32(1e-30)))
    return (np.rint(b * inverse).astype(np.float64) * (amax / np.float32(127))).reshape(x.shape)


# ---- the model ----------------------------------------------------------------------------------------------------


@dataclass
class Arch:
    """What an architecture has that its file's keys and tensors do not say."""

    halves: bool = False  # RoPE turns value i with value i + n / 2, else neighbours
    rope: bool = True
    layer_norm: bool = False
    act: str = "silu"
    parallel: bool = False  # attention and feed-forward read the same x
    no_rope_step: int = 0  # layers step - 1, 2 step - 1, ... have no RoPE
    embd_sqrt: bool = False  # embeddings times sqrt(n_embd)
    scales: dict = None  # defaults of keys, as functions of (n_embd, n_layer)
    logit_divide: bool = False
    qk_norm: str = "head"  # what q_norm and k_norm go over: head, heads (each its own weights), row
    qk_norm_last: bool = False  # behind RoPE
    qk_l2: bool = False
    window: int = 0  # the default
    window_step: int = 0  # layers step - 1, 2 step - 1, ... have none; 0: all have it
    window_key: bool = False  # attention.sliding_window is read
    window_chunks: bool = False
    local_base: float = 0  # RoPE's base in layers with a window
    local_plain: bool = False  # it is not scaled there
    local_rope: bool = False  # only those have RoPE
    ffn_norm: str = "ffn_norm"
    post_norms: bool = False
    pre_norms: bool = True
    norm_weights: bool = False  # a token's experts' weights add up to 1
    gating: int = 1  # 1 softmax, 2 sigmoid, 3 softmax of those chosen
    weight_first: bool = False
    alibi: float = 0
    alibi_layers: int = 0  # only with so many
    sqrt_scale_layers: int = 0  # scores are scaled by sqrt(n_embd / n_head) with so many
    yarn_squared: bool = False  # YaRN's magnitude goes to the scores
    yarn_fractions: bool = False
    temperature_offset: int = 0
    temperature_nope: bool = False
    output_norm: str = "output_norm"


GEMMA = dict(halves=True, act="gelu", embd_sqrt=True)
GPT = dict(layer_norm=True, act="gelu")
ARCHS = {
    "llama": Arch(norm_weights=True),
    "smollm3": Arch(no_rope_step=4),
    "mistral3": Arch(norm_weights=True),
    "qwen2": Arch(halves=True),
    "qwen2moe": Arch(halves=True),
    "qwen3": Arch(halves=True),
    "qwen3moe": Arch(halves=True, norm_weights=True),
    "phi2": Arch(halves=True, parallel=True, **GPT),
    "phi3": Arch(halves=True, window_key=True),
    "gemma": Arch(**GEMMA),
    "gemma2": Arch(post_norms=True, window=4096, window_step=2, window_key=True, sqrt_scale_layers=46, **GEMMA),
    "gemma3": Arch(post_norms=True, window_step=6, window_key=True, local_base=10000.0, local_plain=True,
                   sqrt_scale_layers=62, **GEMMA),
    "granite": Arch(logit_divide=True, norm_weights=True),
    "granitemoe": Arch(logit_divide=True, norm_weights=True),
    "olmo": Arch(layer_norm=True),
    "olmo2": Arch(halves=True, pre_norms=False, post_norms=True, qk_norm="row", window_key=True, window_step=4, local_plain=True),
    "olmoe": Arch(halves=True, qk_norm="row"),
    "stablelm": Arch(halves=True, layer_norm=True, qk_norm="heads"),
    "starcoder2": Arch(halves=True, **GPT),
    "command-r": Arch(layer_norm=True, parallel=True, qk_norm="heads"),
    "cohere2": Arch(layer_norm=True, parallel=True, window=4096, window_step=4, window_key=True, local_rope=True),
    "exaone": Arch(halves=True),
    "exaone4": Arch(halves=True, pre_norms=False, post_norms=True, window_step=4, window_key=True, local_rope=True),
    "internlm2": Arch(),
    "baichuan": Arch(alibi=8, alibi_layers=40),
    "orion": Arch(halves=True, layer_norm=True),
    "gpt-oss": Arch(halves=True, window_key=True, window_step=2, ffn_norm="post_attention_norm", act="oai", gating=3,
                    yarn_fractions=True),
    "glm4": Arch(post_norms=True),
    "ernie4_5": Arch(),
    "ernie4_5-moe": Arch(norm_weights=True),
    "hunyuan-dense": Arch(halves=True, qk_norm_last=True),
    "seed_oss": Arch(halves=True, ffn_norm="post_attention_norm"),
    "arcee": Arch(act="relu2"),
    "minicpm": Arch(logit_divide=True, norm_weights=True, scales={
        "embedding_scale": lambda e, n: 12, "residual_scale": lambda e, n: 1.4 / np.sqrt(n),
        "logit_scale": lambda e, n: e / 256}),
    "gpt2": Arch(rope=False, **GPT),
    "gptneox": Arch(halves=True, layer_norm=True, act="gelu_erf", parallel=True),
    "falcon": Arch(halves=True, layer_norm=True, act="gelu_erf", parallel=True),
    "mpt": Arch(rope=False, layer_norm=True, act="gelu_erf", qk_norm="row"),
    "bloom": Arch(rope=False, alibi=8, **GPT),
    "apertus": Arch(halves=True, act="xielu"),
    "llama4": Arch(gating=2, weight_first=True, window=8192, window_step=4, window_key=True, window_chunks=True,
                   local_rope=True, qk_l2=True, temperature_offset=1, temperature_nope=True,
                   scales={"attention.temperature_scale": lambda e, n: 0.1}),
    "deepseek2": Arch(yarn_squared=True),
    "lfm2": Arch(halves=True, window_key=True, output_norm="token_embd_norm"),
}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_erf(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def relu2(x):
    return np.maximum(x, 0) ** 2


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def magnitude(factor, mul):
    """YaRN's: how much larger the scores of a stretched context are made."""
    return 0.1 * mul * np.log(factor) + 1 if factor > 1 else 1.0


def alibi_slopes(n_head, largest):
    """Head by head, in halves of the powers of two below n_head, then those between them."""
    n = 2 ** int(np.floor(np.log2(n_head)))
    first = 2 ** (-largest / n)
    between = 2 ** (-largest / 2 / n)
    return np.array([first ** (h + 1) if h < n else between ** (2 * (h - n) + 1) for h in range(n_head)])


class Model:
    def __init__(self, path, act=False):
        self.file, self.act = File(path), act
        self.setup()

    def setup(self):
        self.name = self.file.keys["general.architecture"]
        if self.name not in ARCHS:
            sys.exit("the architecture %s is not supported" % self.name)
        a = self.arch = ARCHS[self.name]
        key = self.key
        self.cache = {}
        self.n_layer, self.n_embd = key("block_count"), key("embedding_length")
        self.n_head = key("attention.head_count")
        kv = key("attention.head_count_kv", self.n_head)
        self.n_head_kv = kv if isinstance(kv, list) else [kv] * self.n_layer
        self.latent = self.has("blk.0.attn_kv_a_mqa.weight")
        self.n_k = key("attention.key_length", self.n_embd // self.n_head)
        self.n_v = key("attention.value_length", self.n_embd // self.n_head)
        if self.latent:
            self.n_k, self.n_v = key("attention.key_length_mla"), key("attention.value_length_mla")
        self.n_rot = key("rope.dimension_count", self.n_k)
        self.eps = key("attention.layer_norm_epsilon" if a.layer_norm else "attention.layer_norm_rms_epsilon")
        self.window = key("attention.sliding_window", a.window) if a.window_key else 0
        self.alibi = key("attention.max_alibi_bias", a.alibi)
        if a.alibi_layers and self.n_layer != a.alibi_layers:
            self.alibi = 0
        scale = {k: f(self.n_embd, self.n_layer) for k, f in (a.scales or {}).items()}
        self.scale = lambda k: key(k, scale.get(k, 0)) or 1
        self.temperature = key("attention.temperature_scale", scale.get("attention.temperature_scale", 0))
        self.n_ctx_orig = key("rope.scaling.original_context_length", key("context_length"))
        self.parallel = a.parallel and key("use_parallel_residual", True)  # files say true of every StableLM

    def key(self, k, default=None):
        return self.file.keys.get("%s.%s" % (self.name, k), default)

    def has(self, name):
        return name in self.file.tensors

    def tensor(self, name):
        if name not in self.cache:
            kind, shape, data = self.file.tensors[name]
            self.cache[name] = kind.decode(np.asarray(data).reshape(-1, kind.bytes)).reshape(shape)
        return self.cache[name]

    # ---- products and norms

    def rounded(self, x, name):
        """x as the matrix `name` sees it."""
        kind = self.file.tensors[name][0]
        return round_activations(x, kind.act or kind.block) if self.act and kind.block > 1 else x

    def linear(self, x, name):
        """x through the matrix `name`, and its bias where it has one."""
        y = self.rounded(x, name + ".weight") @ self.tensor(name + ".weight").T
        return y + self.tensor(name + ".bias") if self.has(name + ".bias") else y

    def normalise(self, x):
        if self.arch.layer_norm:
            x = x - x.mean(axis=-1, keepdims=True)
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps)

    def norm(self, x, name):
        """Without weights where the file has none."""
        x = self.normalise(x)
        if self.has(name + ".weight"):
            x = x * self.tensor(name + ".weight")
        return x + self.tensor(name + ".bias") if self.has(name + ".bias") else x

    # ---- positions

    def is_local(self, layer):
        if not self.window:
            return False
        pattern = self.key("attention.sliding_window_pattern", self.arch.window_step)
        if isinstance(pattern, list):
            return bool(pattern[layer])
        return pattern == 0 or layer % pattern < pattern - 1

    def has_rope(self, layer):
        a = self.arch
        if not a.rope or self.alibi or (a.no_rope_step and (layer + 1) % a.no_rope_step == 0):
            return False
        if self.name.startswith("granite") and self.key("rope.scaling.finetuned", True) is False:
            return False
        return not a.local_rope or not self.window or self.is_local(layer)

    def frequencies(self, local, n_ctx):
        """[n_rot / 2], and what cos and sin are multiplied with."""
        a, n, key = self.arch, self.n_rot, self.key
        base = key("rope.freq_base", 10000.0)
        if local:
            base = key("rope.freq_base_swa", a.local_base or base)
        if key("rope.scaling.alpha", 0):
            base *= key("rope.scaling.alpha") ** (self.n_k / (self.n_k - 2))
        f = base ** (-np.arange(0, n, 2) / n)
        if local and a.local_plain:
            return f, 1.0
        kind, factor = key("rope.scaling.type", "linear"), key("rope.scaling.factor", 1.0)
        factors = "rope_factors_long.weight" if n_ctx > self.n_ctx_orig else "rope_factors_short.weight"
        if self.has("rope_freqs.weight"):
            f = f / self.tensor("rope_freqs.weight")
        elif self.has(factors):
            f = f / self.tensor(factors)
        attention = key("rope.scaling.attn_factor", 1.0)
        if kind == "linear":
            return f / factor, attention
        if kind != "yarn":
            return f, attention
        turns = lambda t: n * np.log(self.n_ctx_orig / (t * 2 * np.pi)) / (2 * np.log(base))
        low, high = turns(key("rope.scaling.yarn_beta_fast", 32.0)), turns(key("rope.scaling.yarn_beta_slow", 1.0))
        if not a.yarn_fractions:
            low, high = np.floor(low), np.ceil(high)
        low, high = max(low, 0), min(high, n - 1)
        keep = 1 - np.clip((np.arange(n // 2) - low) / max(high - low, 0.001), 0, 1)
        mul = key("rope.scaling.yarn_log_multiplier", 0.0)
        scale = magnitude(factor, 1)
        if mul and a.yarn_squared:
            scale = 1.0
        elif mul:
            scale = magnitude(factor, 1) / magnitude(factor, mul)
        return f * keep + f / factor * (1 - keep), scale * attention

    def turn(self, x, layer):
        """RoPE of the first n_rot values of x [n][heads][...]."""
        f, scale = self.frequencies(self.is_local(layer), self.n_ctx)
        angle = np.arange(len(x))[:, None, None] * f
        cos, sin, n = np.cos(angle) * scale, np.sin(angle) * scale, self.n_rot
        first, second = (slice(0, n // 2), slice(n // 2, n)) if self.arch.halves else (slice(0, n, 2), slice(1, n, 2))
        a, b, y = x[..., first], x[..., second], x.copy()
        y[..., first], y[..., second] = a * cos - b * sin, a * sin + b * cos
        return y

    def warm(self, q, layer):
        """Queries grow with the logarithm of the position."""
        a = self.arch
        if not self.temperature or (a.temperature_nope and self.has_rope(layer)):
            return q
        length = self.key("attention.temperature_length", 8192 if a.temperature_nope else self.n_ctx_orig)
        whole = (np.arange(len(q)) + a.temperature_offset) // length
        return q * (1 + self.temperature * np.log(1 + whole))[:, None, None]

    # ---- attention

    def scores(self, q, k, scale, layer):
        """[heads][n][n] with -inf where a position is not seen."""
        n = len(q)
        s = np.einsum("ihd,jhd->hij", q, k) * scale
        cap = self.key("attn_logit_softcapping", 50.0 if self.name == "gemma2" else 0)
        if cap:
            s = cap * np.tanh(s / cap)
        i, j = np.arange(n)[:, None], np.arange(n)
        if self.alibi:
            s = s + alibi_slopes(self.n_head, self.alibi)[:, None, None] * (j - i)
        seen = j <= i
        if self.is_local(layer):
            seen &= i // self.window == j // self.window if self.arch.window_chunks else i - j < self.window
        return np.where(seen, s, -np.inf)

    def weighted(self, scores, v, layer):
        sinks = "blk.%d.attn_sinks.weight" % layer
        if self.has(sinks):
            sink = np.broadcast_to(self.tensor(sinks)[:, None, None], (*scores.shape[:2], 1))
            weights = softmax(np.concatenate([scores, sink], axis=-1))[..., :-1]
        else:
            weights = softmax(scores)
        return np.einsum("hij,jhd->ihd", weights, v).reshape(scores.shape[1], -1)

    def qk_norm(self, q, k, layer):
        out = []
        for x, name in ((q, "q_norm"), (k, "k_norm")):
            name = "blk.%d.attn_%s" % (layer, name)
            if not self.has(name + ".weight"):
                out.append(x)
            elif self.arch.qk_norm == "row":
                out.append(self.norm(x.reshape(len(x), -1), name).reshape(x.shape))
            else:
                out.append(self.norm(x, name))
        return out

    def score_scale(self):
        if self.key("attention.scale"):
            return self.key("attention.scale")
        if self.n_layer == self.arch.sqrt_scale_layers:
            return (self.n_embd / self.n_head) ** -0.5
        scale, mul = self.n_k**-0.5, 10 * self.key("rope.scaling.yarn_log_multiplier", 0.0)
        if self.arch.yarn_squared and mul and self.key("rope.scaling.type") == "yarn":
            scale *= magnitude(self.key("rope.scaling.factor", 1.0), mul) ** 2
        return scale

    def attention(self, x, layer):
        prefix, n, n_kv = "blk.%d.attn_" % layer, len(x), self.n_head_kv[layer]
        if self.has(prefix + "qkv.weight"):
            sizes = [self.n_head * self.n_k, (self.n_head + n_kv) * self.n_k]
            q, k, v = np.split(self.linear(x, prefix + "qkv"), sizes, axis=-1)
        else:
            q, k, v = (self.linear(x, prefix + name) for name in "qkv")
        clamp = self.key("attention.clamp_kqv", 0)
        if clamp:
            q, k, v = (np.clip(t, -clamp, clamp) for t in (q, k, v))
        q, k, v = q.reshape(n, -1, self.n_k), k.reshape(n, -1, self.n_k), v.reshape(n, -1, self.n_v)
        if not self.arch.qk_norm_last:
            q, k = self.qk_norm(q, k, layer)
        if self.has_rope(layer):
            q, k = self.turn(q, layer), self.turn(k, layer)
            if self.arch.qk_l2 and self.key("expert_count") != 128:
                q, k = self.normalise(q), self.normalise(k)
        if self.arch.qk_norm_last:
            q, k = self.qk_norm(q, k, layer)
        q, shared = self.warm(q, layer), self.n_head // n_kv
        k, v = np.repeat(k, shared, axis=1), np.repeat(v, shared, axis=1)
        y = self.weighted(self.scores(q, k, self.score_scale(), layer), v, layer)
        return self.linear(y, prefix + "output")

    def latent_attention(self, x, layer):
        """Keys and values of all heads from one narrow row; k_b maps a query onto it, v_b its sum to a value."""
        prefix, n, plain = "blk.%d.attn_" % layer, len(x), self.n_k - self.n_rot
        if self.has(prefix + "q_a.weight"):
            q = self.linear(self.norm(self.linear(x, prefix + "q_a"), prefix + "q_a_norm"), prefix + "q_b")
        else:
            q = self.linear(x, prefix + "q")
        q = q.reshape(n, self.n_head, self.n_k)
        kv = self.linear(x, prefix + "kv_a_mqa")
        latent = self.norm(kv[:, : -self.n_rot], prefix + "kv_a_norm")
        turned = self.turn(kv[:, None, -self.n_rot :], layer)
        k_b, v_b = self.tensor(prefix + "k_b.weight"), self.tensor(prefix + "v_b.weight")
        mapped = np.einsum("ihd,hkd->ihk", self.rounded(q[..., :plain], prefix + "k_b.weight"), k_b)
        q = self.warm(np.concatenate([mapped, self.turn(q[..., plain:], layer)], axis=-1), layer)
        k = np.repeat(np.concatenate([latent[:, None], turned], axis=-1), self.n_head, axis=1)
        v = np.repeat(latent[:, None], self.n_head, axis=1)
        y = self.weighted(self.scores(q, k, self.score_scale(), layer), v, layer).reshape(n, self.n_head, -1)
        y = np.einsum("ihk,hdk->ihd", self.rounded(y, prefix + "v_b.weight"), v_b).reshape(n, -1)
        return self.linear(y, prefix + "output")

    def convolution(self, x, layer):
        prefix = "blk.%d.shortconv." % layer
        b, c, x = np.split(self.linear(x, prefix + "in_proj"), 3, axis=-1)
        w = self.tensor(prefix + "conv.weight")
        row = np.concatenate([np.zeros((w.shape[1] - 1, x.shape[1])), b * x])
        y = sum(row[j : j + len(x)] * w[:, j] for j in range(w.shape[1]))
        return self.linear(c * y, prefix + "out_proj")

    # ---- feed-forward

    def activation(self, gate, up, layer):
        """up may be None."""
        if self.arch.act == "oai":
            gate, up = np.minimum(gate, 7), np.clip(up, -7, 7) + 1
            return gate * sigmoid(1.702 * gate) * up
        if self.arch.act == "xielu":
            an, ap, beta, eps = (self.file.keys["xielu." + k] for k in ("alpha_n", "alpha_p", "beta", "eps"))
            an, ap, beta, eps = (v[layer] if isinstance(v, list) else v for v in (an, ap, beta, eps))
            return np.where(gate > 0, ap * gate * gate, (np.expm1(np.minimum(gate, eps)) - gate) * an) + beta * gate
        f = {"silu": silu, "gelu": gelu, "gelu_erf": gelu_erf, "relu2": relu2}[self.arch.act](gate)
        return f if up is None else f * up

    def dense(self, x, layer, suffix=""):
        prefix = "blk.%d.ffn_" % layer
        up = self.linear(x, prefix + "up" + suffix)
        if self.has(prefix + "gate" + suffix + ".weight"):
            gate = self.linear(x, prefix + "gate" + suffix)
        elif up.shape[1] == 2 * self.file.tensors[prefix + "down" + suffix + ".weight"][1][1]:
            gate, up = np.split(up, 2, axis=-1)
        else:
            gate, up = up, None
        return self.linear(self.activation(gate, up, layer), prefix + "down" + suffix)

    def choose(self, logits, layer):
        """Experts [n][used] in rising order, and their weights."""
        gating = self.key("expert_gating_func", self.arch.gating)
        value = {1: softmax, 2: sigmoid, 3: lambda x: x}[gating](logits)
        score, shift = logits if self.arch.weight_first else value, "blk.%d.exp_probs_b.bias" % layer
        if self.has(shift):
            score = score + self.tensor(shift)
        n_group, n_expert = self.key("expert_group_count", 0), logits.shape[1]
        if n_group > 1:
            groups = np.sort(score.reshape(len(score), n_group, -1), axis=-1)
            best = groups[..., -2:].sum(axis=-1) if self.has(shift) else groups[..., -1]
            chosen = np.argsort(-best, axis=-1, kind="stable")[:, : self.key("expert_group_used_count")]
            seen = (np.arange(n_expert) // (n_expert // n_group))[None, :, None] == chosen[:, None, :]
            score = np.where(seen.any(axis=-1), score, -np.inf)
        expert = np.sort(np.argsort(-score, axis=-1, kind="stable")[:, : self.key("expert_used_count")], axis=-1)
        weight = np.take_along_axis(value, expert, axis=-1)
        if gating == 3:
            weight = softmax(weight)
        if self.key("expert_weights_norm", self.arch.norm_weights):
            weight = weight / weight.sum(axis=-1, keepdims=True)
        return expert, weight * (self.key("expert_weights_scale", 0) or 1)

    def expert(self, x, kind, layer, e):
        """x through expert e's matrix, and its bias."""
        name, split = "blk.%d.ffn_%s_exps" % (layer, kind), "blk.%d.ffn_%s.%d.weight" % (layer, kind, e)
        if kind != "down" and not self.has(split) and not self.has(name + ".weight"):
            both, half = "blk.%d.ffn_gate_up_exps.weight" % layer, 0 if kind == "gate" else 1
            return self.rounded(x, both) @ np.split(self.tensor(both)[e], 2)[half].T
        if self.has(split):
            y = self.rounded(x, split) @ self.tensor(split).T
        else:
            y = self.rounded(x, name + ".weight") @ self.tensor(name + ".weight")[e].T
        return y + self.tensor(name + ".bias")[e] if self.has(name + ".bias") else y

    def experts(self, x, layer):
        expert, weight = self.choose(self.linear(x, "blk.%d.ffn_gate_inp" % layer), layer)
        out = np.zeros_like(x)
        for e in range(self.key("expert_count")):
            token, place = np.nonzero(expert == e)
            w = weight[token, place][:, None]
            h = x[token] * w if self.arch.weight_first else x[token]
            if len(token) == 0:
                continue
            h = self.activation(self.expert(h, "gate", layer, e), self.expert(h, "up", layer, e), layer)
            y = self.expert(h, "down", layer, e)
            out[token] += y if self.arch.weight_first else w * y
        return out

    def feed_forward(self, x, layer):
        prefix = "blk.%d.ffn_" % layer
        if not self.has(prefix + "gate_inp.weight"):
            return self.dense(x, layer)
        y = self.experts(x, layer)
        if self.has(prefix + "up_shexp.weight"):
            shared = self.dense(x, layer, "_shexp")
            if self.has(prefix + "gate_inp_shexp.weight"):
                gate = self.tensor(prefix + "gate_inp_shexp.weight").reshape(1, -1)
                shared = shared * sigmoid(x @ gate.T)
            y = y + shared
        return y

    # ---- all of it

    def block(self, x, layer):
        a, prefix = self.arch, "blk.%d." % layer
        mix = self.convolution if self.n_head_kv[layer] == 0 else self.latent_attention if self.latent else self.attention
        first = prefix + ("attn_norm_2" if self.has(prefix + "attn_norm_2.weight") else "attn_norm")
        h = self.norm(x, first) if a.pre_norms else x
        y = mix(h, layer)
        if a.post_norms:
            y = self.norm(y, prefix + "post_attention_norm")
        y = y * self.scale("residual_scale")
        if self.parallel or (self.name == "stablelm" and not self.has(prefix + "ffn_norm.weight")):
            if self.has(prefix + "ffn_norm.weight"):
                h = self.norm(x, prefix + "ffn_norm")
            elif first.endswith("2"):
                h = self.norm(x, prefix + "attn_norm")
            return x + y + self.feed_forward(h, layer)
        x = x + y
        y = self.feed_forward(self.norm(x, prefix + a.ffn_norm) if a.pre_norms else x, layer)
        if a.post_norms:
            y = self.norm(y, prefix + "post_ffw_norm")
        return x + y * self.scale("residual_scale")

    def logits(self, ids, n_ctx=0):
        """[n_ids][n_vocab], as with a context of n_ctx positions (0: the trained one)."""
        self.n_ctx = n_ctx or self.key("context_length")
        x = self.tensor("token_embd.weight")[ids] * self.scale("embedding_scale")
        if self.arch.embd_sqrt:
            x = x * np.sqrt(self.n_embd)
        if self.has("position_embd.weight"):
            x = x + self.tensor("position_embd.weight")[: len(ids)]
        if self.arch.output_norm != "token_embd_norm" and self.has("token_embd_norm.weight"):
            x = self.norm(x, "token_embd_norm")
        for i in range(self.n_layer - self.key("nextn_predict_layers", 0)):
            x = self.block(x, i)
        y = self.linear(self.norm(x, self.arch.output_norm), "output" if self.has("output.weight") else "token_embd")
        if self.has("output.bias") and not self.has("output.weight"):
            y = y + self.tensor("output.bias")
        y = y / self.scale("logit_scale") if self.arch.logit_divide else y * self.scale("logit_scale")
        cap = self.key("final_logit_softcapping", 30.0 if self.name == "gemma2" else 0)
        return cap * np.tanh(y / cap) if cap else y


def normalised_error(a, b):
    return np.mean((a - b) ** 2) / np.mean(b**2)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model")
    p.add_argument("--ids", required=True, type=lambda s: [int(x) for x in s.split(",")])
    p.add_argument("--act", action="store_true", help="round the inputs of quantized matrices as the engine does")
    p.add_argument("--ctx", type=int, default=0, help="positions of the context, where RoPE depends on it")
    p.add_argument("--out", type=Path, help="write the logits: float32, or float64 to a .npy file")
    p.add_argument("--compare", type=Path, metavar="LOGITS", help="float32 logits to print the error of")
    o = p.parse_args()
    y = Model(o.model, o.act).logits(np.array(o.ids), o.ctx)
    if o.out and o.out.suffix == ".npy":
        np.save(o.out, y)
    elif o.out:
        y.astype("<f4").tofile(o.out)
    if o.compare:
        other = np.fromfile(o.compare, dtype="<f4").astype(np.float64)
        if other.size != y.size:
            sys.exit("%s: holds %d values; %d x %d are expected" % (o.compare, other.size, *y.shape))
        print("%.6g" % normalised_error(other.reshape(y.shape), y))
    if not o.out and not o.compare:
        print("%d x %d logits; the last row's largest is at id %d" % (*y.shape, y[-1].argmax()))


if __name__ == "__main__":
    main()
