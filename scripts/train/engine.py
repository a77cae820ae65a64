"""The engine's own commands in place of the PyTorch model."""
import json
import os
import subprocess
import tempfile

import torch


class Engine:
    """Runs gguf-eval, gguf-run and gguf-tokenize of a build folder on a model file."""

    def __init__(self, build, path):
        self.build, self.path, self.folder = build, path, tempfile.TemporaryDirectory()

    def run(self, command, *args, **kinds):
        words = [os.path.join(self.build, "gguf-" + command), "-m", self.path, *args]
        return subprocess.run(words, check=True, capture_output=True, **kinds).stdout

    def __call__(self, ids):
        """Logits [1, n, vocabulary] of ids [1, n]."""
        out = os.path.join(self.folder.name, "logits")
        self.run("eval", "--ids", ",".join(map(str, ids[0].tolist())), "--logits", out)
        logits = torch.frombuffer(bytearray(open(out, "rb").read()), dtype=torch.float32)
        return logits.reshape(1, ids.shape[1], -1)

    def prompt(self, turns, system="", thinking=False):
        """A conversation, ready for the answer, through the model's own template."""
        messages = [{"role": "system", "content": system}] if system else []
        messages += [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(turns)]
        path = os.path.join(self.folder.name, "chat.json")
        with open(path, "w") as f:
            json.dump({"messages": messages, "add_generation_prompt": True, "enable_thinking": thinking}, f)
        return self.run("tokenize", "--chat", path, text=True)

    def generate(self, text, limit=400, temperature=0.0):
        """What the model goes on with; the likeliest token each time, or drawn with seed 1."""
        return self.run("run", "--raw", "--parse-special", "-f", "-", "-n", str(limit), "--temp", str(temperature), "--seed", "1",
                        "--top-k", "0", "--top-p", "1", "--min-p", "0", input=text, text=True)
