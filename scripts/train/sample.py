"""Let a model speak: python sample.py MODEL.gguf PROMPTS.jsonl [--engine BUILD]

A line is {"raw": "Once upon a time"} or {"chat": ["first question", "second"], "system": "...", "thinking": true}.
With "temperature" the words are drawn, otherwise the likeliest is taken. Prints Markdown. With --engine the commands
in BUILD answer, through the model's own template, instead of PyTorch.
"""
import argparse
import json

import torch

from chat import END, IM_END, prompt
from engine import Engine
from reader import load_gguf


@torch.no_grad()
def generate(model, tok, text, limit=400, temperature=0.0, seed=1):
    ids = tok.encode(text).ids
    start, stop = len(ids), [tok.token_to_id(END), tok.token_to_id(IM_END)]
    rng = torch.Generator().manual_seed(seed)
    while len(ids) < min(start + limit, model.cfg.context):
        logits = model(torch.tensor([ids]))[0, -1]
        if temperature:
            token = torch.multinomial((logits / temperature).softmax(-1), 1, generator=rng).item()
        else:
            token = logits.argmax().item()
        if token in stop:
            break
        ids.append(token)
    return tok.decode(ids[start:], skip_special_tokens=False)


class Torch:
    """The same model in PyTorch; see Engine."""

    def __init__(self, path):
        self.model, self.tok = load_gguf(path)

    def prompt(self, turns, system="", thinking=False):
        return prompt(turns, system, thinking)

    def generate(self, text, temperature=0.0):
        return generate(self.model, self.tok, text, temperature=temperature)


def converse(speaker, line):
    """The turns of a chat: [user, answer, user, ...]"""
    turns = []
    for question in line["chat"]:
        turns.append(question)
        text = speaker.prompt(turns, line.get("system", ""), line.get("thinking", False))
        turns.append(speaker.generate(text, temperature=line.get("temperature", 0.0)).lstrip("\n"))
    return turns


def quote(text):
    return "\n".join("> " + l if l else ">" for l in text.strip().split("\n"))


def show(speaker, line):
    heat = line.get("temperature", 0.0)
    how = ", ".join(["temperature %g" % heat] * bool(heat) + ["thinking"] * line.get("thinking", False)
                    + ["system message: %s" % line.get("system")] * ("system" in line))
    how = " (%s)" % how if how else ""
    if "raw" in line:
        return "`%s`%s\n\n%s" % (line["raw"], how, quote(line["raw"] + speaker.generate(line["raw"], temperature=heat)))
    turns = converse(speaker, line)
    return "\n\n".join("**%s**%s\n\n%s" % (q, how, quote(a)) for q, a in zip(turns[::2], turns[1::2]))


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("model")
    ap.add_argument("prompts")
    ap.add_argument("--engine", metavar="BUILD")
    o = ap.parse_args()
    torch.set_num_threads(1)
    speaker = Engine(o.engine, o.model) if o.engine else Torch(o.model)
    for i, line in enumerate(open(o.prompts), 1):
        print("%d. %s\n" % (i, show(speaker, json.loads(line)).replace("\n", "\n   ").replace("\n   \n", "\n\n")), flush=True)


if __name__ == "__main__":
    main()
