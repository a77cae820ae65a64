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
    no_rope_step: int = 0  # layers step - 1, 2 step - 1, ... have no RoPE


ARCHS = {"llama": Arch(), "smollm3": Arch(no_rope_step=4)}


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Model:
    def __init__(self, path, act=False):
        self.file, self.act = File(path), act
        name = self.file.keys["general.architecture"]
        if name not in ARCHS:
            sys.exit("the architecture %s is not supported" % name)
        self.arch = ARCHS[name]

        def key(k, default=None):
            return self.file.keys.get("%s.%s" % (name, k), default)

        self.n_layer, n_embd = key("block_count"), key("embedding_length")
        self.n_head = key("attention.head_count")
        self.n_head_kv = key("attention.head_count_kv", self.n_head)
        self.n_k = key("attention.key_length", n_embd // self.n_head)
        self.n_v = key("attention.value_length", n_embd // self.n_head)
        self.n_rot = key("rope.dimension_count", self.n_k)
        self.eps = key("attention.layer_norm_rms_epsilon")
        frequency = key("rope.freq_base", 10000.0) ** (-np.arange(0, self.n_rot, 2) / self.n_rot)
        if key("rope.scaling.type", "linear") == "linear":
            frequency = frequency / key("rope.scaling.factor", 1.0)
        if "rope_freqs.weight" in self.file.tensors:
            frequency = frequency / self.tensor("rope_freqs.weight")
        self.frequency = frequency

    def tensor(self, name):
        kind, shape, data = self.file.tensors[name]
        return kind.decode(np.asarray(data).reshape(-1, kind.bytes)).reshape(shape)

    def linear(self, x, name):
        """x through the matrix `name`, and its bias where it has one."""
        kind = self.file.tensors[name + ".weight"][0]
        if self.act and kind.block > 1:
            x = round_activations(x, kind.act or kind.block)
        y = x @ self.tensor(name + ".weight").T
        return y + self.tensor(name + ".bias") if name + ".bias" in self.file.tensors else y

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps) * self.tensor(name + ".weight")

    def rope(self, x):
        """Turns neighbouring pairs of the first n_rot values of x [n][heads][n_k] by position x frequency."""
        angle = np.arange(len(x))[:, None, None] * self.frequency
        cos, sin = np.cos(angle), np.sin(angle)
        a, b = x[..., 0 : self.n_rot : 2], x[..., 1 : self.n_rot : 2]
        y = x.copy()
        y[..., 0 : self.n_rot : 2], y[..., 1 : self.n_rot : 2] = a * cos - b * sin, a * sin + b * cos
        return y

    def attention(self, x, layer):
        prefix, n = "blk.%d.attn_" % layer, len(x)
        q = self.linear(x, prefix + "q").reshape(n, self.n_head, self.n_k)
        k = self.linear(x, prefix + "k").reshape(n, self.n_head_kv, self.n_k)
        v = self.linear(x, prefix + "v").reshape(n, self.n_head_kv, self.n_v)
        if not self.arch.no_rope_step or (layer + 1) % self.arch.no_rope_step:
            q, k = self.rope(q), self.rope(k)
        shared = self.n_head // self.n_head_kv
        score = np.einsum("ihd,jhd->hij", q, np.repeat(k, shared, axis=1)) / np.sqrt(self.n_k)
        score = np.where(np.tri(n, dtype=bool), score, -np.inf)
        y = np.einsum("hij,jhd->ihd", softmax(score), np.repeat(v, shared, axis=1))
        return self.linear(y.reshape(n, -1), prefix + "output")

    def feed_forward(self, x, layer):
        prefix = "blk.%d.ffn_" % layer
        return self.linear(silu(self.linear(x, prefix + "gate")) * self.linear(x, prefix + "up"), prefix + "down")

    def logits(self, ids):
        """[n_ids][n_vocab]"""
        x = self.tensor("token_embd.weight")[ids]
        for i in range(self.n_layer):
            x = x + self.attention(self.norm(x, "blk.%d.attn_norm" % i), i)
            x = x + self.feed_forward(self.norm(x, "blk.%d.ffn_norm" % i), i)
        tied = "output.weight" not in self.file.tensors
        return self.linear(self.norm(x, "output_norm"), "token_embd" if tied else "output")


def normalised_error(a, b):
    return np.mean((a - b) ** 2) / np.mean(b**2)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model")
    p.add_argument("--ids", required=True, type=lambda s: [int(x) for x in s.split(",")])
    p.add_argument("--act", action="store_true", help="round the inputs of quantized matrices as the engine does")
    p.add_argument("--out", type=Path, help="write the logits: float32, or float64 to a .npy file")
    p.add_argument("--compare", type=Path, metavar="LOGITS", help="float32 logits to print the error of")
    o = p.parse_args()
    y = Model(o.model, o.act).logits(np.array(o.ids))
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
