#!/usr/bin/env python3
"""Makes tests/golden/golden.inc: what scripts/reference.py computes for the models that tests/golden runs.

    scripts/make_golden.py build/make-model > tests/golden/golden.inc
"""

import subprocess
import sys
import tempfile

import numpy as np
import reference

IDS = [1, 290, 7, 291, 292, 13, 299, 265, 100, 271, 3, 298, 280, 266]
COLUMNS = [0, 5, 77, 150, 231, 299]

SMALL = "--seed 1 --embd 256 --ff 512 --layers 2 --heads 4 --kv-heads 2 --ctx 64 --vocab 300 "
TYPES = """F32 F16 BF16 F64 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ1_S IQ1_M IQ2_XXS IQ2_XS
    IQ2_S IQ3_XXS IQ3_S IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4 NVFP4""".split()

# One model a line of make-model's options: every type, then what models have besides. Where a value lies between two
# int8 steps, the engine's float32 may round it to the other side, and from this position on the logits are another
# sample of the same error; the test allows it in the second half of the positions. With these seeds no model has it
# before.
SEEDS = {"IQ3_XXS": " --seed 2"}
MODELS = [SMALL + "--type " + t + SEEDS.get(t, "") for t in TYPES] + [
    SMALL + "--type Q4_K_M --arch smollm3 --layers 4 --vocab-kind bpe",
    SMALL + "--type Q5_K_M --layers 3 --tied --rope-factors --rope-base 500000",
    SMALL + "--type F16 --biases --rope-factors --head-size 80 --tied",
    SMALL + "--type Q8_0 --biases --heads 6 --kv-heads 2 --head-size 48 --rot 32",
    SMALL + "--type Q5_1 --embd 288 --ff 352 --heads 9 --kv-heads 9",
    SMALL + "--type Q6_K --embd 512 --ff 768 --heads 8 --kv-heads 1 --vocab-kind none",
    SMALL + "--type F32 --align 1 --set llama.rope.scaling.type=string:linear --set llama.rope.scaling.factor=f32:2.5",
    SMALL + "--type Q4_1 --align 4096 --seed 7",
]

# Every architecture, its tensors as the maker makes them for it, with windows smaller than the text; then what else an
# architecture may have.
ARCH = SMALL + "--layers 4 --ctx 512 --type F32 --arch "
MOE = "--key expert_count=u32:8 --key expert_used_count=u32:3 --key expert_feed_forward_length=u32:64 "
MODELS += [ARCH + a for a in reference.ARCHS if a not in ("llama", "smollm3")] + [
    ARCH + "llama " + MOE,
    ARCH + "llama --split-experts " + MOE.replace("64", "512"),
    ARCH + "qwen3 --fused --heads 3 --kv-heads 1 --head-size 40 --biases",
    ARCH + "qwen3moe --key expert_used_count=u32:8 --layers 1",
    ARCH + "stablelm --drop-tensor blk.1.ffn_norm.weight --drop-tensor blk.1.ffn_norm.bias --optional --rot 16",
    ARCH + "falcon --optional --layers 2",
    ARCH + "gptneox --key use_parallel_residual=bool:0 --rot 16",
    ARCH + "baichuan --layers 40 --embd 64 --ff 32 --heads 6 --kv-heads 6 --head-size 16 --rot 16",
    ARCH + "gemma3 --key attention.sliding_window=u32:1 --layers 7",
    ARCH + "gpt-oss --key attention.sliding_window_pattern=bool[]:0,1,1,0",
    ARCH + "deepseek2 --key attention.q_lora_rank=u32:0 --key expert_gating_func=u32:1 --key expert_group_count=u32:0",
    ARCH + "phi3 --key rope.scaling.original_context_length=u32:1024",
]
ARCH = ARCH.replace("F32", "%s")
# Where an activation rounds to the other side, a router may choose another expert: with this seed none does.
MODELS += [
    ARCH % t + a
    for t in ("Q8_0", "Q4_K")
    for a in ("qwen3moe --seed 3", "gpt-oss", "gemma3", "deepseek2 --seed 3", "lfm2", "bloom")
]


def numbers(values, per_line):
    text = ["%.9gf" % v if v % 1 else "%.1ff" % v for v in values]
    return ",\n      ".join(", ".join(text[i : i + per_line]) for i in range(0, len(text), per_line))


def main():
    print("/* Made by scripts/make_golden.py: do not edit. */")
    print("static const int32_t golden_ids[] = {%s};" % ", ".join(map(str, IDS)))
    print("static const int32_t golden_columns[] = {%s};\n" % ", ".join(map(str, COLUMNS)))
    print("static const golden goldens[] = {")
    with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
        for line in MODELS:
            subprocess.check_call([sys.argv[1], *line.split(), f.name])
            exact = reference.Model(f.name).logits(np.array(IDS))
            rounded = reference.Model(f.name, act=True).logits(np.array(IDS))
            a, b = exact[:, COLUMNS].ravel(), rounded[:, COLUMNS].ravel()
            print('    {"%s",' % line)
            print("     %.6g, %.12g," % (reference.normalised_error(b, a), np.sum(rounded**2)))
            print("     {%s}," % numbers(a, len(COLUMNS)))
            print("     {%s}}," % (numbers(b, len(COLUMNS)) if np.any(a != b) else 0))
    print("};")


if __name__ == "__main__":
    main()
