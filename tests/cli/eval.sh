# gguf-eval: logits of every position, intermediate tensors, errors.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --arch smollm3 --preset tiny --type Q8_0 --seed 3 m.gguf || exit 1
ids=1,300,301,302,303

expect 0 gguf-eval -m m.gguf --ids $ids --logits a.f32
n=$(wc -c <a.f32)
check "five rows of whole floats" test $((n % 20)) -eq 0 -a "$n" -gt 0
for flags in "-t 1" "-t 3" "-b 1" "-ub 2" "--no-mmap"; do
    expect 0 gguf-eval -m m.gguf --ids $ids --logits b.f32 $flags
    check "the same bits with $flags" cmp a.f32 b.f32
done
expect 0 gguf-eval -m m.gguf --ids "1 300 301 302 303" --logits -
check "to stdout, ids with spaces" cmp out a.f32
expect 0 gguf-eval -m m.gguf --ids $ids --logits c.f32 -ctk f32 -ctv f32
check "another cache gives other bits" test "$(cksum <a.f32)" != "$(cksum <c.f32)"

expect 0 gguf-eval -m m.gguf --ids 1 --dump list
for name in embd blk.0.attn_norm blk.0.q blk.0.q_rope blk.3.ffn_out blk.3.out output_norm logits; do
    check "--dump list names $name" prints "$name"
done
check "the fourth layer has no RoPE" test "$(grep -c 'blk.3.q_rope' out)" -eq 0
expect 0 gguf-eval -m m.gguf --ids $ids --dump blk.1.attn_out --dump output_norm
check "a row a position" test "$(grep -c '^blk.1.attn_out' out)" -eq 5
check "the row's values" test "$(head -n 1 out | wc -w)" -eq 258
expect 0 gguf-eval -m m.gguf --ids $ids --dump logits -ub 2
check "positions count on over chunks" test "$(cut -f2 out | tr '\n' ' ')" = "0 1 2 3 4 "
expect 2 gguf-eval -m m.gguf --ids 1 --dump nonsense
check "an unknown name is named" says "nonsense"

expect 2 gguf-eval -m m.gguf --logits x
expect 2 gguf-eval -m m.gguf --ids 1
expect 2 gguf-eval -m m.gguf --ids 1,x --logits x
expect 2 gguf-eval -m m.gguf --ids 99999999 --logits x
check "the vocabulary's size is named" says "not in the vocabulary"
expect 4 gguf-eval -m m.gguf --ids $ids --logits x -c 3
check "both numbers" says "of its 3 positions"
[ ! -e /dev/full ] || expect 1 gguf-eval -m m.gguf --ids $ids --logits /dev/full
expect 1 gguf-eval -m m.gguf --ids 1 --logits no/such/folder/x
check "with its reason" says "No such file"

# what stands at the name stays until the new file is whole
echo precious >keep
expect 2 gguf-eval -m m.gguf --ids 1,99999999 --logits keep
check "a failed run leaves the old file" test "$(cat keep)" = precious
cp m.gguf copy.gguf
expect 0 gguf-eval -m copy.gguf --ids 1 --logits copy.gguf
check "a model can be overwritten by its own logits" test "$(wc -c <copy.gguf)" -eq 2048
check "no temporary file is left" test "$(ls | grep -c tmp)" -eq 0
(ulimit -f 0; gguf-eval -m m.gguf --ids $ids --logits big.f32 >out 2>/dev/null)
check "a file that may not grow is a failed write" test $? -eq 1
expect 2 gguf-eval -m m.gguf --ids 1 --dump list --logits x
finish
