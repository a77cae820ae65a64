#!/bin/sh
# No include goes upward or sideways between the rooms of src/, and instructions of one machine stay in their rooms.
set -eu
cd "$1/src"
status=0

# room: what its files may include
allowed='base: base
quant: base quant
format: base quant format
text: base format text
kernel: base quant kernel
sample: base kernel sample
backend: base quant kernel backend
model: base quant format text kernel backend model
session: base quant format kernel backend model session
cli: base quant format text kernel sample backend model session cli'

for file in */*.c */*.h */*/*.c */*/*.h */*/*.cu */*/*.cuh; do
    room=${file%%/*}
    rooms=$(printf '%s\n' "$allowed" | sed -n "s/^$room: //p")
    # run, chat and tokenize stand on the public header alone, as any other program would
    case $file in cli/answer.* | cli/chat*.* | cli/prompt.* | cli/run.* | cli/tokenize.c | cli/interrupt.*) rooms=cli ;; esac
    for other in $(sed -n 's|^#include "\([a-z]*\)/.*|\1|p' "$file" | sort -u); do
        case " $rooms " in
        *" $other "*) ;;
        *) echo "$file includes from $other/, which is not below $room/"; status=1 ;;
        esac
    done
    case $file in
    backend/cuda/*) continue ;;
    backend/split.c) ;;
    *)
        if grep -nE '"backend/cuda/' "$file"; then
            echo "$file: only split.c knows what kinds of GPU there are"
            status=1
        fi
        ;;
    esac
    if grep -nE '__CUDA|__global__|__device__|__shared__|cuda_runtime' "$file"; then
        echo "$file: code for GPUs belongs into backend/cuda/"
        status=1
    fi
    case $room in kernel) continue ;; esac
    case $file in base/cpu.c | base/pool.c) continue ;; esac
    if grep -nE 'immintrin|arm_neon|__AVX|__x86_64__|__aarch64__|__ARM' "$file"; then
        echo "$file: code for one kind of processor belongs into kernel/ or base/cpu.c"
        status=1
    fi
done

# only the architecture table knows names of architectures (the vocabularies have names of their own)
names=$(sed -n '/^static const arch archs/,/^};/s/^    {"\([a-z0-9_.-]*\)",.*/\1/p' model/arch.c | paste -sd '|' -)
test "$(printf '%s' "$names" | tr '|' '\n' | wc -l)" -gt 40 || { echo "no names in model/arch.c"; status=1; }
if grep -nE "\"($names)\"" */*.c | grep -v '^model/arch.c' | grep -v '^text/'; then
    echo "an architecture's name is compared outside model/arch.c"
    status=1
fi
exit $status
