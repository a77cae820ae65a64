"""The network: a small SmolLM3-style transformer in PyTorch.

Pre-norm RMSNorm, grouped-query attention, SwiGLU, tied embeddings. Rotary positions turn
neighbouring pairs (2i, 2i+1); every fourth layer has no positions at all.
"""
from dataclasses import dataclass, asdict

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Config:
    vocab: int = 2048
    dim: int = 256
    ffn: int = 512
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    context: int = 1024
    eps: float = 1e-5
    rope_base: float = 10000.0
    nope_every: int = 4

    @property
    def head_dim(self):
        return self.dim // self.heads

    def has_rope(self, layer):
        return (layer + 1) % self.nope_every != 0

    as_dict = asdict


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x.float(), self.weight.shape, self.weight, self.eps)


def rope_table(cfg):
    """cos and sin, each [context, head_dim / 2]."""
    freq = cfg.rope_base ** (-torch.arange(0, cfg.head_dim, 2).float() / cfg.head_dim)
    angle = torch.arange(cfg.context).float()[:, None] * freq
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x, table):
    """x is [batch, head, position, head_dim]; neighbours 2i and 2i+1 turn together."""
    cos, sin = table[0, :x.shape[2]], table[1, :x.shape[2]]
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2).type_as(x)


def attention(q, k, v):
    """Causal attention. On a CPU the plain form is the faster one while the scores stay small."""
    n = q.shape[2]
    if n > 256:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    scores = scores + torch.full((n, n), -1e4, dtype=scores.dtype).triu(1)
    return scores.softmax(-1, dtype=scores.dtype) @ v


class Block(nn.Module):
    def __init__(self, cfg, layer):
        super().__init__()
        kv = cfg.kv_heads * cfg.head_dim
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        self.cfg, self.use_rope = cfg, cfg.has_rope(layer)
        self.attn_norm, self.ffn_norm = RMSNorm(cfg.dim, cfg.eps), RMSNorm(cfg.dim, cfg.eps)
        self.attn_q, self.attn_k, self.attn_v = linear(cfg.dim, cfg.dim), linear(cfg.dim, kv), linear(cfg.dim, kv)
        self.attn_output = linear(cfg.dim, cfg.dim)
        self.ffn_gate, self.ffn_up = linear(cfg.dim, cfg.ffn), linear(cfg.dim, cfg.ffn)
        self.ffn_down = linear(cfg.ffn, cfg.dim)

    def attend(self, x, table):
        split = lambda y: y.unflatten(-1, (-1, self.cfg.head_dim)).transpose(1, 2)
        q, k, v = split(self.attn_q(x)), split(self.attn_k(x)), split(self.attn_v(x))
        if self.use_rope:
            q, k = rotate(q, table), rotate(k, table)
        group = self.cfg.heads // self.cfg.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = attention(q, k, v)
        return self.attn_output(y.transpose(1, 2).flatten(-2))

    def forward(self, x, table):
        x = x + self.attend(self.attn_norm(x), table)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Model(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.token_embd = nn.Embedding(cfg.vocab, cfg.dim)
        self.blk = nn.ModuleList(Block(cfg, i) for i in range(cfg.layers))
        self.output_norm = RMSNorm(cfg.dim, cfg.eps)
        self.register_buffer("rope", rope_table(cfg), persistent=False)
        self.apply(self.init)

    def init(self, m):
        if isinstance(m, nn.Embedding):
            nn.init.normal_(m.weight, std=0.05)
        elif isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=m.in_features ** -0.5 / (2 * self.cfg.layers) ** 0.25)

    def forward(self, ids):
        x = self.token_embd(ids)
        for b in self.blk:
            x = b(x, self.rope)
        return F.linear(self.output_norm(x), self.token_embd.weight)


def loss_of(model, x, y):
    """Mean cross-entropy; targets of -100 do not count."""
    return F.cross_entropy(model(x).float().flatten(0, 1), y.flatten(), ignore_index=-100)


def load(path):
    """The model of a checkpoint written by train.py."""
    ck = torch.load(path, map_location="cpu", weights_only=True)
    m = Model(Config(**ck["config"]))
    m.load_state_dict(ck["model"])
    return m.eval()
