# gguf-tokenize: text to ids and back, in every form.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --arch llama --preset tiny --type F16 --seed 3 spm.gguf || exit 1
make-model --arch llama --preset tiny --type F16 --seed 3 --vocab-kind bpe bpe.gguf || exit 1

expect 0 gguf-tokenize -m spm.gguf -p "the rain"
check "a line a token: id, tab, piece" test "$(grep -cE '^[0-9]+	' out)" -eq "$(wc -l <out)"
check "BOS comes first" test "$(head -n 1 out)" = "1	<s>"
lines=$(wc -l <out)
expect 0 gguf-tokenize -m spm.gguf -p "the rain" --count
check "--count" test "$(cat out)" -eq "$lines"
expect 0 gguf-tokenize -m spm.gguf -p "the rain" --ids
check "--ids is one line" test "$(wc -l <out)" -eq 1 -a "$(wc -w <out)" -eq "$lines"
expect 0 gguf-tokenize -m spm.gguf -p "the rain" --count --no-bos
check "--no-bos" test "$(cat out)" -eq $((lines - 1))
expect 0 gguf-tokenize -m spm.gguf -p "<s>" --count --no-bos
check "text is no control token by itself" test "$(cat out)" -gt 1
expect 0 gguf-tokenize -m spm.gguf -p "<s>" --ids --no-bos --parse-special
check "--parse-special makes it one" grep -qw 1 out

# every byte comes back
i=0
while [ $i -lt 256 ]; do
    # shellcheck disable=SC2059
    printf "\\$(printf %03o $i)"
    i=$((i + 1))
done >bytes
cat bytes bytes "$source/README.md" >text
for model in spm bpe; do
    gguf-tokenize -m $model.gguf -f text --ids --no-bos >ids 2>err || fail "$model: tokenize"
    gguf-tokenize -m $model.gguf --detokenize <ids >back 2>err || fail "$model: detokenize"
    check "$model: the round trip is exact" cmp text back
done

printf '{"text": "the\\u00e4 \\"rain\\"", "n": [1, {"a": "}"}]}\n\n{"text": ""}\n' >lines.jsonl
gguf-tokenize -m bpe.gguf --jsonl --no-bos <lines.jsonl >out 2>err
check "--jsonl adds ids and keeps the rest" grep -q '"n": \[1, {"a": "}"}\], "ids": \[[0-9, ]*\]}$' out
check "a line each" test "$(wc -l <out)" -eq 2
check "no text, no ids" prints '{"text": "", "ids": []}'
printf '{"ids": [7], "text": "a"}\n' | gguf-tokenize -m bpe.gguf --jsonl --no-bos >out 2>err
check "ids that were there are replaced" test "$(grep -o ids out | wc -l)" -eq 1
for bad in '{"txt": "a"}' '["text"]' '{"text": 1}' '{"text": "a"' '{"text": "a"} x' '{"text": "\u12"}' '{"a": nonsense, "text": "a"}' \
    '{"text": "b", "b": [1}}' '{"text": "a", "n": 01}' '{"text": "a",}'; do
    printf '%s\n' "$bad" | gguf-tokenize -m bpe.gguf --jsonl >out 2>err
    check "$bad is refused" test $? -eq 2
    check "with its line" says "line 1"
done

expect 2 gguf-tokenize -m spm.gguf --detokenize -p "1 2 three"
expect 2 gguf-tokenize -m spm.gguf --detokenize -p "99999999"
echo "1 two 3" | gguf-tokenize -m spm.gguf --detokenize >out 2>err
check "what is no id is shown by itself" says '"two" is no id'
printf '300\000 301' | gguf-tokenize -m spm.gguf --detokenize >out 2>err
check "a NUL among the ids cuts nothing silently" test $? -eq 2
make-model --arch llama --preset tiny --type F16 --seed 3 --vocab-kind bpe --pre nonsense odd.gguf || exit 1
expect 3 gguf-tokenize -m odd.gguf -p x
check "an unknown pre-tokenizer is named" says "the pre-tokenizer nonsense (tokenizer.ggml.pre) is not known"
check "with the way out" says "--pre NAME"
expect 0 gguf-tokenize -m odd.gguf --pre kimi-k2 -p x
expect 2 gguf-tokenize -m bpe.gguf --pre nonsense -p x
make-model --arch llama --preset tiny --type F16 --vocab-kind none bare.gguf || exit 1
expect 3 gguf-tokenize -m bare.gguf -p x
check "a file without tokenizer is called so" says "no tokenizer"
expect 3 gguf-run -m bare.gguf -p x
expect 0 gguf-eval -m bare.gguf --ids 1,2 --logits /dev/null
finish
