#!/usr/bin/env python3
"""A long context against float64: the engine reads tens of thousands of positions of a small random llama.

    check_long.py BUILD [-n POSITIONS]

Makes a model with BUILD/make-model, runs BUILD/gguf-eval on it with float32 and with f16 caches, and prints the
normalised mean square error of all logits, of the last 256 positions', and the largest difference. Attention is that of
scripts/reference.py, computed for some hundred queries at a time, so that scores fit into memory. Takes some minutes for
32768 positions; exit code 1 where the float32 cache is off by more than 1e-9.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import reference

BLOCK, BASE = 256, 500000
OPTIONS = "--embd 64 --ff 128 --layers 2 --heads 2 --kv-heads 1 --vocab 300 --type F32 --vocab-kind none --seed 5"


class LongModel(reference.Model):
    def attention(self, x, layer):
        key = lambda k: self.file.keys["llama." + k]
        n, n_head, n_kv = len(x), key("attention.head_count"), key("attention.head_count_kv")
        size = key("embedding_length") // n_head
        angle = np.arange(n)[:, None, None] * BASE ** (-np.arange(0, size, 2) / size)
        turn = np.exp(1j * angle)

        def heads(name, count, turned):
            y = self.linear(x, "blk.%d.attn_%s" % (layer, name)).reshape(n, count, size)
            if turned:
                y = ((y[..., 0::2] + 1j * y[..., 1::2]) * turn).view(np.float64)
            return y

        q, k, v = heads("q", n_head, True), heads("k", n_kv, True), heads("v", n_kv, False)
        y = np.empty((n, n_head, size))
        for at in range(0, n, BLOCK):
            end = min(at + BLOCK, n)
            hidden = np.arange(end) > np.arange(at, end)[:, None]
            for h in range(n_head):
                own = h * n_kv // n_head
                score = q[at:end, h] @ k[:end, own].T / np.sqrt(size)
                score[hidden] = -np.inf
                p = np.exp(score - score.max(axis=1, keepdims=True))
                y[at:end, h] = p @ v[:end, own] / p.sum(axis=1, keepdims=True)
        return self.linear(y.reshape(n, -1), "blk.%d.attn_output" % layer)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("build", type=Path)
    p.add_argument("-n", type=int, default=32768, help="positions; at most 32768, since ids are an argument")
    o = p.parse_args()
    ids = np.random.default_rng(3).integers(0, 300, o.n)
    with tempfile.TemporaryDirectory() as work:
        model, out = Path(work, "m.gguf"), Path(work, "logits")
        options = OPTIONS.split() + ["--ctx", str(o.n), "--rope-base", str(BASE)]
        subprocess.run([o.build / "make-model", *options, model], check=True)
        want = LongModel(model).logits(ids)
        worst = 0
        for cache in "f32", "f16":
            flags = ["--ids", ",".join(map(str, ids)), "--logits", out, "-ctk", cache, "-ctv", cache]
            subprocess.run([o.build / "gguf-eval", "-m", model, *flags], check=True)
            got = np.fromfile(out, dtype="<f4").astype(np.float64).reshape(want.shape)
            error = reference.normalised_error
            print("%s cache, %d positions: error %.3g, of the last 256 %.3g, largest difference %.3g of %.3g" % (
                cache, o.n, error(got, want), error(got[-256:], want[-256:]), abs(got - want).max(), abs(want).max()))
            worst = max(worst, error(got[-256:], want[-256:])) if cache == "f32" else worst
        sys.exit(1 if worst > 1e-9 else 0)


if __name__ == "__main__":
    main()
