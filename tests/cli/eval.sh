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

# a text: perplexity against the same from the logits, computed by awk
tales=$source/models/tales-5m-q8_0.gguf
for seed in 1 2; do gguf-run -m "$tales" --raw -p "Once upon a time" --seed $seed -n 60 --echo; done >text 2>err
text_ids=$(gguf-tokenize -m "$tales" -f text --ids)
check "the text has two chunks" test "$(echo "$text_ids" | wc -w)" -ge 64 -a "$(echo "$text_ids" | wc -w)" -lt 160
perplexity() { # CHUNK STRIDE FIRST: "ppl nll tokens"
    n=$(echo "$text_ids" | wc -w)
    for start in $(seq 0 $2 $((n - $1))); do
        chunk=$(echo "$text_ids" | cut -d' ' -f $((start + 1))-$((start + $1)))
        gguf-eval -m "$tales" --ids "$chunk" --dump logits |
            awk -v ids="$chunk" -v first="$3" -v size="$1" 'BEGIN {split(ids, id, " ")}
                $2 >= first && $2 < size - 1 {
                    max = $3; for (i = 3; i <= NF; i++) if ($i > max) max = $i
                    sum = 0; for (i = 3; i <= NF; i++) sum += exp($i - max)
                    printf "%.12g\n", max + log(sum) - $(id[$2 + 2] + 3)}'
    done | awk '{s += $1; q += $1 * $1; n++} END {m = s / n
        printf "PPL = %.4f +/- %.5f, mean negative log-likelihood %.6f (%d tokens", exp(m), exp(m) * sqrt((q / n - m * m) / (n - 1)), m, n}'
}
expect 0 gguf-eval -m "$tales" -f text --chunk 64
check "perplexity of second halves" prints "$(perplexity 64 64 32)"
check "nothing on stderr without a terminal" test ! -s err
cp out ppl64
for flags in "-c 64" "--chunk 64 -b 5" "--chunk 64 -t 1" "--chunk 64 -t 1 -tb 3" "--chunk 64 --chunks 9"; do
    expect 0 gguf-eval -m "$tales" -f text $flags
    check "the same with $flags" cmp out ppl64
done
expect 0 gguf-eval -m "$tales" -f text --chunk 32 --stride 8
check "perplexity with a stride" prints "$(perplexity 32 8 23)"
expect 2 gguf-eval -m "$tales" -f - --chunk 64
check "an empty text is said" says "the text has 0 tokens"
gguf-eval -m "$tales" -f - --chunk 64 --chunks 1 --json <text >out 2>err
check "one chunk, as JSON" prints '{"tokens":31,"chunks":1,"chunk":64,"ppl":'

# each chunk begins with BOS where the model wants it
expect 0 gguf-eval -m "$tales" -f text --chunk 64 --override-kv tokenizer.ggml.add_bos_token=bool:true
check "BOS takes the place of a chunk's first token" test "$(cksum <out)" != "$(cksum <ppl64)"
expect 0 gguf-eval -m "$tales" -f text --chunk 64 --override-kv tokenizer.ggml.add_bos_token=bool:true --no-bos
check "but not with --no-bos" cmp out ppl64

# divergence: none from itself but the file's rounding, little to the same model in 4 bits
expect 0 gguf-eval -m "$tales" -f text --chunk 64 --kl-base base.kl
check "--kl-base prints the perplexity" cmp out ppl64
expect 0 gguf-eval -m "$tales" --kl base.kl
check "the text's perplexity again" prints "$(cat ppl64)"
check "the same top everywhere" prints "same top   100.000 %"
check "no divergence from itself" test "$(awk '/^max KL/ {print ($3 < 0.0005)}' out)" -eq 1
expect 0 gguf-eval -m "$source/models/tales-5m-q4_k_m.gguf" --kl base.kl --json
kl=$(sed 's/.*"kl_mean":\([^,]*\),.*/\1/' out)
check "little from 4 bits ($kl)" test "$(echo "$kl" | awk '{print ($1 > 0.00005 && $1 < 0.01)}')" -eq 1
expect 2 gguf-eval -m m.gguf --kl base.kl
check "both vocabularies are named" says "vocabulary of 2048"
head -c 5000 base.kl >cut.kl
expect 1 gguf-eval -m "$tales" --kl cut.kl
check "a file cut short is said" says "cut short"
expect 2 gguf-eval -m "$tales" --kl text
expect 2 gguf-eval -m "$tales" --kl no-such-file
expect 2 gguf-eval -m "$tales" --kl base.kl -f text
expect 2 gguf-eval -m "$tales" --kl-base x.kl
expect 2 gguf-eval -m "$tales" -f text --chunk 4000
check "both numbers of a short text" says "a chunk takes 4000"
expect 2 gguf-eval -m "$tales" -f text --chunk 64 --stride 64
expect 2 gguf-eval -m "$tales" -f text --score --ids 1
expect 2 gguf-eval -m "$tales"

# lines: the sum over a line is that of its ids
printf 'Once upon a time\n\nThe fox was happy.\n' | gguf-eval -m "$tales" --score >out 2>err
check "a line each" test "$(wc -l <out)" -eq 3
check "an empty line scores nothing" test "$(sed -n 2p out)" = "$(printf '0.000000\t0')"
line_ids=$(gguf-tokenize -m "$tales" -p "The fox was happy." --ids)
want=$(gguf-eval -m "$tales" --ids "$line_ids" --dump logits | awk -v ids="$line_ids" 'BEGIN {n = split(ids, id, " ")}
    $2 < n - 1 {max = $3; for (i = 3; i <= NF; i++) if ($i > max) max = $i
        sum = 0; for (i = 3; i <= NF; i++) sum += exp($i - max)
        total += $(id[$2 + 2] + 3) - max - log(sum); count++}
    END {printf "%.4f %d", total, count}')
check "the log-probability of a line" test "$(sed -n 3p out | awk '{printf "%.4f %d", $1, $2}')" = "$want"
printf 'a "b"\n' | gguf-eval -m "$tales" --score --json >out 2>err
check "lines as JSON" prints '{"text":"a \"b\"","logprob":-'
printf 'one\nthe fox was happy and went home\n' | gguf-eval -m "$tales" --score -c 4 >out 2>err
check "a line beyond the context is code 4" test $? -eq 4
check "and the line is named" says "line 2: "
finish
