"""Make the corpus: python corpus.py OUT_DIR [--docs N] [--seed S]

Writes train.txt and held.txt, documents parted by <|endoftext|>.
"""
import argparse
import os
import random
from multiprocessing import Pool

import tasks
from chat import END, document
from stories import make_story

CHUNK = 2000


def make_document(rng):
    dice = rng.random()
    if dice < 0.30:
        return make_story(rng).text()
    if dice < 0.40:
        return tasks.sum_sheet(rng)
    if dice < 0.41:
        return tasks.poem(rng)
    turns = tasks.make_chat(rng)
    system = rng.choice(tasks.SYSTEM) if rng.random() < 0.3 else ""
    thinking = rng.random() < (0.35 if turns[-1][2][:1].isdigit() else 0.15)
    return document(turns, system, thinking)


def chunk(seed):
    rng = random.Random(seed)
    return "".join(make_document(rng) + END for _ in range(CHUNK))


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("out")
    ap.add_argument("--docs", type=int, default=220000)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--jobs", type=int, default=2)
    o = ap.parse_args()
    os.makedirs(o.out, exist_ok=True)
    seeds = [o.seed * 1000003 + i for i in range(o.docs // CHUNK + 1)]
    with Pool(o.jobs) as pool, open(o.out + "/train.txt", "w") as f:
        for text in pool.imap(chunk, seeds[1:]):
            f.write(text)
    with open(o.out + "/held.txt", "w") as f:
        f.write(chunk(seeds[0]))


if __name__ == "__main__":
    main()
