# gguf-bench: the table, its formats, the limits. No figure is judged here: speed is measured, not tested.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --arch llama --preset tiny --type Q4_K --seed 3 m.gguf || exit 1

expect 0 gguf-bench -m m.gguf -p 16,8 -n 4 -d 0,32 -r 2
check "two lines of heading and six of figures" test "$(wc -l <out)" -eq 8
check "the columns" grep -q 'test .* t/s .* % of limit' out
check "a prompt at a depth" prints "pp16 @ d32"
check "generation" prints "tg4 "
expect 0 gguf-bench -m "$source/models/tales-5m-q4_k_m.gguf" -p 4 -n 0 -r 1
check "small models are not of 0.00 GiB" prints "3.12 MiB |     5.25 M |"
expect 0 gguf-bench -m m.gguf -p 8 -n 0 -r 2 -o json
for key in cpu_info backends model_size n_prompt n_gen n_depth avg_ts stddev_ts samples_ts pct_limit; do
    check "JSON has $key" prints "\"$key\": "
done
if command -v jq >/dev/null; then
    check "it is JSON" jq -e '.[0].samples_ts | length == 2' out
fi
expect 0 gguf-bench -m m.gguf -p 8 -n 2 -r 1 -o jsonl
check "a line a test" test "$(wc -l <out)" -eq 2
expect 0 gguf-bench -m m.gguf -p 8 -n 0 -r 1 -t 1,2 -o csv
check "a heading and a line a test" test "$(wc -l <out)" -eq 3
expect 0 gguf-bench --ceilings
check "the three limits" grep -q 'read GB/s .* int8 GMAC/s .* float32 GMAC/s' out
expect 0 gguf-bench -m m.gguf --start -r 1
check "a process's start" prints "start to first token"

expect 2 gguf-bench
expect 2 gguf-bench -m m.gguf -p 8x
expect 2 gguf-bench -m m.gguf -o yaml
expect 2 gguf-bench -m m.gguf --start -o json
expect 2 gguf-bench --ceilings -o json
check "--ceilings has one form" says "leave out -o"
expect 2 gguf-bench -m m.gguf -p 0 -n 0
check "no test at all is said" says "no test is left"
test ! -s out || fail "and no heading is printed"
expect 3 gguf-bench -m missing.gguf
finish
