# The whole program with the tests' device in the place of a GPU: flags, variables, and what each command makes of them.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --preset tiny --layers 2 --type Q4_K --seed 3 m.gguf || exit 1

expect 0 gguf-run -m m.gguf -p "once upon" -n 8 --temp 0 -ngl 0
mv out cpu
for flags in "-ngl all" "-ngl 1" "-ngl auto" "" "-ngl -1" "-ngl all -ub 1" "-ngl all --profile"; do
    expect 0 gguf-emulated run -m m.gguf -p "once upon" -n 8 --temp 0 $flags
    check "the same text with: $flags" cmp cpu out
done
expect 0 gguf-emulated run -m m.gguf -p "once upon" -n 2 --temp 0 -v
check "what is there is said" says "3 layers on GPUs"
expect 0 gguf-emulated run -m m.gguf -p "once upon" -n 2 --temp 0 -v -ngl 1
check "of some" says "1 layers on GPUs"
LLAMA_ARG_N_GPU_LAYERS=2 gguf-emulated run -m m.gguf -p x -n 1 --temp 0 -v >out 2>err </dev/null
check "the variable" says "2 layers on GPUs"
export GGUF_EMULATED_GPUS=2
expect 0 gguf-emulated run -m m.gguf -p "once upon" -n 8 --temp 0 -ngl all -sm layer -ts 1,2
check "two devices" cmp cpu out
expect 0 gguf-emulated run -m m.gguf -p "once upon" -n 8 --temp 0 -ngl all -sm none
check "the first of two" cmp cpu out
expect 2 gguf-emulated run -m m.gguf -p x -ngl all -ts 1,1,1
check "more parts than devices" says "-ts has 3 parts, but there are 2 GPUs"
export GGUF_EMULATED_GPUS=0
expect 2 gguf-emulated run -m m.gguf -p x -ngl all
check "no device is an error where one was asked for" says "no GPU can be used: no CUDA-capable device is detected"
expect 0 gguf-emulated run -m m.gguf -p "once upon" -n 8 --temp 0
check "else a warning" says "no GPU can be used, the CPU computes"
check "and the CPU" cmp cpu out
unset GGUF_EMULATED_GPUS
for wrong in "-ngl some" "-ngl 1.5" "-ngl -3" "-ts 1,x" "-ts 0,0" "-sm row"; do
    expect 2 gguf-emulated run -m m.gguf -p x $wrong
done

# every operation by itself, wherever it runs
ids=1,300,301,302,303
expect 0 gguf-eval -m m.gguf --ids $ids --dump blk.1.attn --dump blk.0.ffn_act --dump logits -ngl 0
mv out cpu
for layers in 1 all; do
    expect 0 gguf-emulated eval -m m.gguf --ids $ids --dump blk.1.attn --dump blk.0.ffn_act --dump logits -ngl $layers
    check "what is inside, with -ngl $layers" cmp cpu out
done

expect 0 gguf-emulated bench -m m.gguf -p 4 -n 2 -r 1 -ngl all
check "a row says where it ran" prints "| CUDA  "
expect 0 gguf-emulated bench -m m.gguf -p 4 -n 0 -r 1 -ngl 2 -o json
check "by parts" prints '"backends": "CUDA+CPU '
check "layers there" prints '"n_gpu_layers": 2'
check "the limit is the device's" grep -q '"gpu_int8_macs_per_s": [1-9]' out
finish
