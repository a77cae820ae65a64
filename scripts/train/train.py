"""Train the model: python train.py DIR OUT.pt [--minutes M]

DIR holds train.bin and held.bin. Matrices are updated by Muon, embeddings and norms by AdamW; the rate is
constant after a short warm-up and falls to zero over the last part. The sequences grow with time. The plan
follows the clock, so that the same command gives a finished model on a fast machine and on a slow one.
"""
import argparse
import math
import time

import numpy as np
import torch
import torch.nn as nn
from tokenizers import Tokenizer

from model import Config, Model, load, loss_of

# until this share of the time: sequence length
STAGES = [(0.80, 256), (0.94, 512), (1.0, 1024)]
END, IM_START, THINK = 0, 1, 3           # token ids, in the order in which the tokenizer has them
BATCH = 4096         # tokens a step
COOLDOWN = 0.6       # the share of the time during which the rate falls


def orthogonalize(g, steps=5):
    """Newton-Schulz: g with its singular values pushed towards one. g is a stack of matrices."""
    x = g.bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class Muon:
    """Momentum whose step is made orthogonal. Matrices of one shape are stepped as one stack."""

    def __init__(self, params, lr, momentum=0.95, decay=0.1):
        self.lr, self.momentum, self.decay, self.groups = lr, momentum, decay, {}
        for p in params:
            self.groups.setdefault(p.shape, []).append(p)
        self.state = {s: torch.zeros(len(ps), *s) for s, ps in self.groups.items()}

    @torch.no_grad()
    def step(self, scale):
        for shape, ps in self.groups.items():
            g, m = torch.stack([p.grad for p in ps]), self.state[shape]
            m.lerp_(g, 1 - self.momentum)
            step = orthogonalize(g.lerp(m, self.momentum)) * max(1, shape[0] / shape[1]) ** 0.5
            for p, s in zip(ps, step):
                p.mul_(1 - self.lr * scale * self.decay).sub_(s, alpha=self.lr * scale)


def questions(tokens, tok):
    """Only the shorter documents that are chats or sheets of sums."""
    digits = [tok.token_to_id(c) for c in "0123456789"]
    docs = np.split(tokens, np.flatnonzero(tokens == END) + 1)
    return np.concatenate([d for d in docs if 0 < len(d) < 150 and (d[0] == IM_START or len(d) > 4 and d[-2] in digits)])


class Rows:
    """Rows of a token stream in random order; every second row starts with a document.

    An empty thought is always part of the prompt, so that its opening is nothing to learn: a thought that the
    model opens itself begins with a newline.
    """

    def __init__(self, tokens, newline, seed):
        self.tokens, self.newline, self.rng = tokens, newline, np.random.default_rng(seed)
        self.starts = np.append(np.flatnonzero(tokens == END) + 1, len(tokens))

    def cut(self, starts, length):
        ids = torch.from_numpy(np.stack([self.tokens[a:a + length + 1] for a in starts]).astype(np.int64))
        x, y = ids[:, :-1], ids[:, 1:]
        return x, y.where((x != THINK) | (y == self.newline), -100)

    def fixed(self, rows, length):
        """The first rows of the stream."""
        return self.cut(range(0, rows * length, length), length)

    def batch(self, rows, length):
        at = self.rng.integers(0, len(self.tokens) - 2 * length, rows)
        docs = self.starts[np.searchsorted(self.starts, at)]
        at = np.where((np.arange(rows) % 2 == 0) & (docs < len(self.tokens) - length - 1), docs, at)
        return self.cut(at, length)


def rate(t):
    """The learning rate's factor at the share t of the time."""
    return min(1.0, t / 0.01 + 0.02, max(0.0, 1 - t) / COOLDOWN)


@torch.no_grad()
def evaluate(model, held, rows=32, length=256):
    with torch.autocast("cpu", torch.bfloat16):
        return loss_of(model, *held.fixed(rows, length)).item()


def save(model, path, **extra):
    torch.save({"config": model.cfg.as_dict(), "model": model.state_dict(), **extra}, path)


def step_loss(model, streams, share, length):
    """Gradients of one batch, a share of it from the second stream."""
    n = BATCH // length
    second = round(n * share)
    parts = [s.batch(k, length) for s, k in zip(streams, (n - second, second)) if k]
    x, y = (torch.cat(p) for p in zip(*parts))
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(model, x, y)
    loss.backward()
    return loss.item()


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("dir")
    ap.add_argument("out")
    ap.add_argument("--minutes", type=float, default=55)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--muon", type=float, default=0.006, help="rate of the matrices; 0.02 is too much for such small steps")
    ap.add_argument("--adam", type=float, default=0.002, help="rate of the rest")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--questions", type=float, default=0.0, help="the share of the rows that has no stories")
    ap.add_argument("--resume", help="a checkpoint to start from")
    o = ap.parse_args()
    torch.manual_seed(o.seed)
    torch.set_num_threads(o.threads)

    train, held = (np.fromfile("%s/%s.bin" % (o.dir, n), np.uint16) for n in ("train", "held"))
    model = load(o.resume).train() if o.resume else Model(Config())
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embd" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embd" in n]
    muon = Muon(matrices, o.muon)
    adam = torch.optim.AdamW(others, lr=o.adam, betas=(0.9, 0.98), weight_decay=0.0)
    tok = Tokenizer.from_file(o.dir + "/tokenizer.json")
    newline = tok.encode("a\n").ids[-1]
    streams = [Rows(s, newline, o.seed) for s in (train, questions(train, tok))]
    held = Rows(held, newline, o.seed)
    print("%d parameters, %d tokens" % (sum(p.numel() for p in model.parameters()), len(train)), flush=True)

    begin, step, seen, t = time.time(), 0, 0, 0.0
    while t < 1:
        length = next(n for until, n in STAGES if t < until)
        loss = step_loss(model, streams, o.questions, length)
        nn.utils.clip_grad_norm_(others, 1.0)
        for g in adam.param_groups:
            g["lr"] = o.adam * rate(t)
        adam.step()
        muon.step(rate(t))
        model.zero_grad(set_to_none=True)
        step, seen = step + 1, seen + BATCH
        t = (time.time() - begin) / (60 * o.minutes)
        if not math.isfinite(loss):
            raise SystemExit("the loss is not finite")
        if step % 10 == 0:
            print("step %d  %.1f min  %.2fM tokens  length %d  loss %.4f" % (step, t * o.minutes, seen / 1e6, length, loss), flush=True)
        if step % 100 == 0:
            print("held %.4f" % evaluate(model, held), flush=True)
            save(model, o.out, step=step, tokens=seen)
    print("held %.4f at the end, %d steps, %.2fM tokens" % (evaluate(model, held), step, seen / 1e6))
    save(model, o.out, step=step, tokens=seen)


if __name__ == "__main__":
    main()
