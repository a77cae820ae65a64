"""Encode matrices as Q8_0, Q4_K and Q6_K. Rows are cut into blocks; every function takes [n, block] floats
and returns [n, bytes]."""
import numpy as np

F16 = lambda x: x.astype(np.float16)
raw = lambda x: np.ascontiguousarray(x).view(np.uint8).reshape(len(x), -1)


def inverse(x):
    return np.divide(1.0, x, out=np.zeros_like(x), where=x != 0)


def q8_0(x):
    """32 values: a scale and signed bytes."""
    d = np.abs(x).max(1, keepdims=True) / 127
    q = np.rint(x * inverse(d)).astype(np.int8)
    return np.hstack([raw(F16(d)), raw(q)])


# ---- Q6_K: 16 groups of 16 values, q * scale * d with q in -32..31

def fit_symmetric(x, top):
    """A scale for each group so that scale * q, q in -top..top-1, is nearest to x (weights x^2)."""
    i = np.abs(x).argmax(-1)[..., None]
    peak = np.take_along_axis(x, i, -1)
    best, score = np.zeros_like(peak), np.full_like(peak, -1)
    for step in range(-9, 10):
        q = np.clip(np.rint(x * (-(top + 0.1 * step) * inverse(peak))), -top, top - 1)
        w = x * x
        xq, qq = (w * x * q).sum(-1, keepdims=True), (w * q * q).sum(-1, keepdims=True)
        gain = xq * xq * inverse(qq)
        better = gain > score
        best, score = np.where(better, xq * inverse(qq), best), np.where(better, gain, score)
    return best


def q6_k(x):
    n = len(x)
    x = x.reshape(n, 16, 16)
    scale = fit_symmetric(x, 32)[..., 0]
    peak = np.take_along_axis(scale, np.abs(scale).argmax(1)[:, None], 1)
    d = F16(peak / -128)
    s = np.clip(np.rint(scale * inverse(d.astype(np.float32))), -128, 127).astype(np.int8)
    step = (d.astype(np.float32) * s)[..., None]
    q = (np.clip(np.rint(x * inverse(step)), -32, 31) + 32).astype(np.uint8)
    q = q.reshape(n, 2, 4, 32)     # half, quarter of the half, value
    low, high = q & 15, q >> 4
    ql = np.concatenate([low[:, :, 0] | low[:, :, 2] << 4, low[:, :, 1] | low[:, :, 3] << 4], -1)
    qh = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    return np.hstack([ql.reshape(n, 128), qh.reshape(n, 64), raw(s), raw(d)])


# ---- Q4_K: 8 groups of 32 values, q * scale * d - low * dmin with q in 0..15

def fit_affine(x, top):
    """scale and low >= 0 for each group so that scale * q - low, q in 0..top, is nearest to x."""
    w = np.sqrt((x * x).mean(-1, keepdims=True)) + np.abs(x)
    low0 = np.minimum(x.min(-1, keepdims=True), 0)
    span = x.max(-1, keepdims=True) - low0
    total = lambda a: a.sum(-1, keepdims=True)
    sw, sx = total(w), total(w * x)
    best, scale, low = np.full_like(span, np.inf), np.zeros_like(span), -low0
    for step in range(21):
        q = np.clip(np.rint((x - low0) * (top - 1 + 0.1 * step) * inverse(span)), 0, top)
        sq, sqq, sxq = total(w * q), total(w * q * q), total(w * x * q)
        det = sw * sqq - sq * sq
        a, b = (sw * sxq - sx * sq) * inverse(det), (sqq * sx - sq * sxq) * inverse(det)
        a, b = np.where(b > 0, sxq * inverse(sqq), a), np.minimum(b, 0)
        error = total(w * (a * q + b - x) ** 2)
        better = (error < best) & (det > 0)
        best, scale, low = np.where(better, error, best), np.where(better, a, scale), np.where(better, -b, low)
    return scale[..., 0], low[..., 0]


def pack_scales(s, m):
    """Eight 6-bit scales and eight 6-bit lows in 12 bytes."""
    first = np.hstack([s[:, :4] | (s[:, 4:] >> 4) << 6, m[:, :4] | (m[:, 4:] >> 4) << 6])
    return np.hstack([first, (s[:, 4:] & 15) | (m[:, 4:] & 15) << 4])


def q4_k(x):
    n = len(x)
    x = x.reshape(n, 8, 32)
    scale, low = fit_affine(x, 15)
    six_bits = lambda v, d: np.clip(np.rint(v * inverse(d.astype(np.float32))), 0, 63).astype(np.uint8)
    d, dmin = F16(scale.max(1, keepdims=True) / 63), F16(low.max(1, keepdims=True) / 63)
    s, m = six_bits(scale, d), six_bits(low, dmin)
    step, base = (d.astype(np.float32) * s)[..., None], (dmin.astype(np.float32) * m)[..., None]
    q = np.clip(np.rint((x + base) * inverse(step)), 0, 15).astype(np.uint8)
    qs = q[:, 0::2] | q[:, 1::2] << 4
    return np.hstack([raw(d), raw(dmin), pack_scales(s, m), qs.reshape(n, 128)])


ENCODERS = {"Q8_0": (q8_0, 32), "Q4_K": (q4_k, 256), "Q6_K": (q6_k, 256)}


def encode(matrix, kind):
    """A float matrix as rows of bytes."""
    make, block = ENCODERS[kind]
    rows, width = matrix.shape
    return make(matrix.astype(np.float32).reshape(-1, block)).reshape(rows, -1)
