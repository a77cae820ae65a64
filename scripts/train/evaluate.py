"""Measure models on held-out text: python evaluate.py DIR MODEL.gguf ... [--prompts PROMPTS.jsonl]
           [--engine BUILD]
           [--games N]

Held-out documents come from the same rules as the corpus, so some of their shorter sentences ("The end.") do stand
in the corpus. The loss is therefore given twice: over everything, and over the sentences that the corpus does not
have. Sums are asked only with pairs of numbers that never meet in the corpus. With --prompts, says which sentences
of the prompts stand in the corpus. With --games, asks up to N held-out questions of every kind that has one right
answer, and says how many were answered with exactly it. With --engine the commands in BUILD compute, instead of PyTorch.
"""
import argparse
import json
import random
import re

import torch
import torch.nn.functional as F

from chat import END, THINK, prompt
from engine import Engine
from reader import load_gguf
import tasks
from tasks import held_out, held_out_sum

# A sentence ends with its mark and the quote after it, with a line, or with a control token.
SENTENCE = re.compile(r'(?:[^.!?\n<]|<(?!\|))+[.!?]*"?')
CONTROL = re.compile(r"<\|\w+\|>(?:system|user|assistant)?|</?think>")


def sentences(text):
    """(sentence, start, end) for each sentence of a text."""
    text = CONTROL.sub(lambda m: "\n" * len(m.group()), text)
    return [(m.group().strip(), m.start(), m.end()) for m in SENTENCE.finditer(text) if m.group().strip()]


def known_sentences(path):
    """Every sentence of the corpus."""
    known = set()
    for doc in open(path).read().split(END):
        known.update(s for s, _, _ in sentences(doc))
    return known


def spans_of_new(text, known):
    return [(a, b) for s, a, b in sentences(text) if s not in known and len(s) > 1]


@torch.no_grad()
def losses(model, tok, docs, known):
    """(mean loss, tokens) over everything, and over the new sentences."""
    sums, thought = [[0.0, 0], [0.0, 0]], tok.token_to_id(THINK)
    for doc in docs:
        e = tok.encode(doc + END)
        ids = torch.tensor(e.ids)
        loss = F.cross_entropy(model(ids[None, :-1])[0], ids[1:], reduction="none")
        new = spans_of_new(doc, known)
        is_new = torch.tensor([any(a < end and start < b for a, b in new) for start, end in e.offsets[1:]])
        asked = ids[:-1] != thought      # whether to think is not the model's choice
        for s, pick in zip(sums, (asked, asked & is_new)):
            s[0] += loss[pick].sum().item()
            s[1] += int(pick.sum())
    return [(total / n, n) for total, n in sums]


def sums_to_ask(count, seed=7):
    rng, asked = random.Random(seed), []
    while len(asked) < count:
        a, b, op = rng.randint(0, 99), rng.randint(0, 99), "+-"[len(asked) % 2]
        if held_out_sum(a, b) and (op == "+" or a >= b):
            asked.append((a, op, b, a + b if op == "+" else a - b))
    return asked


@torch.no_grad()
def answer_all(model, tok, prompts, limit=64):
    """Greedy answers to many prompts, those of one length together."""
    out, by_length = {}, {}
    for p in prompts:
        by_length.setdefault(len(tok.encode(p).ids), []).append(p)
    for group in by_length.values():
        ids = torch.tensor([tok.encode(p).ids for p in group])
        start = ids.shape[1]
        for _ in range(limit):
            ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
            if (ids[:, start:] == 2).any(1).all():      # 2 is <|im_end|>
                break
        for p, row in zip(group, ids[:, start:].tolist()):
            out[p] = tok.decode(row[:row.index(2)] if 2 in row else row, skip_special_tokens=False)
    return out


def answers_to(model, tok, prompts):
    """{prompt: likeliest answer}"""
    if isinstance(model, Engine):
        return {p: model.generate(p, limit=64) for p in prompts}
    return answer_all(model, tok, prompts)


def sum_score(model, tok, count, thinking):
    asked = sums_to_ask(count)
    text = {q: prompt(["What is %d %s %d?" % q[:3]], thinking=thinking) for q in asked}
    answers = answers_to(model, tok, list(text.values()))
    right = lambda q: answers[text[q]].endswith("= %d." % q[3])
    part = lambda op: [right(q) for q in asked if q[1] == op]
    mean = lambda x: 100 * sum(x) / len(x)
    return "%.0f%% of sums, %.0f%% of differences" % (mean(part("+")), mean(part("-")))


# Kinds of questions, with what they are called.
GAMES = [(tasks.word_problem, "sums in words"), (tasks.times_task, "tables up to 10 times 10"), (tasks.compare_task, "which number is bigger"),
         (tasks.neighbor_task, "the number after or before"), (tasks.counting_task, "counting"), (tasks.letter_task, "letters of a word"),
         (tasks.count_task, "how many letters"), (tasks.spell_task, "spelling"), (tasks.calendar_task, "days and months"),
         (tasks.opposite_task, "opposites"), (tasks.color_task, "colors"), (tasks.plural_task, "plurals"), (tasks.odd_task, "the odd one out"),
         (tasks.reading_task, "where is it now"), (tasks.has_task, "who has it")]


def game_scores(model, tok, count, seed=11):
    """(name, right, asked) of every game."""
    for make, name in GAMES:
        rng, asked = random.Random(seed), {}
        for _ in range(20000):
            question, _, answer = make(rng)[0]
            if held_out(question):
                asked[prompt([question])] = answer
            if len(asked) == count:
                break
        answers = answers_to(model, tok, list(asked))
        yield name, sum(answers[q].strip() == a for q, a in asked.items()), len(asked)


def check_prompts(path, known):
    for line in map(json.loads, open(path)):
        for text in line.get("chat", [line.get("raw")]):
            for s, _, _ in sentences(text):
                if s in known:
                    print("in the corpus: %r, of the prompt %r" % (s, text))


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("dir")
    ap.add_argument("models", nargs="*")
    ap.add_argument("--docs", type=int, default=300)
    ap.add_argument("--sums", type=int, default=200)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--prompts")
    ap.add_argument("--games", type=int, default=0)
    ap.add_argument("--engine", metavar="BUILD")
    o = ap.parse_args()
    torch.set_num_threads(o.threads)
    known = known_sentences(o.dir + "/train.txt")
    docs = open(o.dir + "/held.txt").read().split(END)[:o.docs]
    print("%d different sentences in the corpus" % len(known))
    if o.prompts:
        check_prompts(o.prompts, known)
    for path in o.models:
        model, tok = load_gguf(path)
        model = Engine(o.engine, path) if o.engine else model
        every, new = losses(model, tok, docs, known)
        print("%s: loss %.4f over %d tokens, %.4f over the %d of new sentences" % (path.split("/")[-1], *every, *new), flush=True)
        for thinking in (False, True):
            print("  %s%s" % (sum_score(model, tok, o.sums, thinking), ", thinking" * thinking), flush=True)
        for game in game_scores(model, tok, o.games) if o.games else ():
            print("  %s: %d of %d" % game, flush=True)


if __name__ == "__main__":
    main()
