"""Train the tokenizer and encode the corpus: python tokenizer.py DIR [--vocab N] [--sample MB]

Reads train.txt and held.txt; writes tokenizer.json, train.bin and held.bin (16-bit token ids).
"""
import argparse

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from chat import CONTROL, END, MARKS


def train(text, vocab):
    """Byte-level BPE. Digits stand alone, the rest is cut by GPT-2's rule."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=t in CONTROL, normalized=False) for t in CONTROL + MARKS]
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(strip_marks(text).split(END), trainer)
    return tok


def strip_marks(text):
    for t in CONTROL[1:] + MARKS:
        text = text.replace(t, END)
    return text


def encode(tok, path, out):
    docs = open(path).read().split(END)[:-1]
    with open(out, "wb") as f:
        for i in range(0, len(docs), 4096):
            for e in tok.encode_batch([d + END for d in docs[i:i + 4096]]):
                np.array(e.ids, np.uint16).tofile(f)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("dir")
    ap.add_argument("--vocab", type=int, default=2048)
    ap.add_argument("--sample", type=int, default=12, help="megabytes of text to train the tokenizer on")
    o = ap.parse_args()
    tok = train(open(o.dir + "/train.txt").read(o.sample << 20), o.vocab)
    tok.save(o.dir + "/tokenizer.json")
    for name in ("held", "train"):
        encode(tok, "%s/%s.txt" % (o.dir, name), "%s/%s.bin" % (o.dir, name))


if __name__ == "__main__":
    main()
