# Conversations: gguf-tokenize --chat, and gguf-run with a model that has a template.
build=$1 source=$2
. "$source/tests/cli/lib.sh"
model=$source/models/tales-5m-q8_0.gguf
run="gguf-run -m $model --temp 0"

cat >chat.json <<'END'
{"messages": [{"role": "user", "content": "What is 17 + 25?"}], "add_generation_prompt": true}
END
printf '%s' "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}
{% endfor %}{{ strftime_now('%d %b %Y %H:%M') }}" >t.jinja

# text, with and without a model
expect 0 gguf-tokenize --chat chat.json --chat-template-file t.jinja --now "2026-11-20 12:34:56"
check "a template needs no model" test "$(cat out)" = "user: What is 17 + 25?
20 Nov 2026 12:34"
expect 0 gguf-tokenize --chat chat.json --chat-template chatml
check "a built-in template" prints "<|im_start|>user"
expect 0 gguf-tokenize --chat-template list
check "the built-in templates are named" grep -qx chatml out
expect 2 gguf-tokenize --chat chat.json --chat-template nosuch
expect 2 gguf-tokenize --chat chat.json --chat-template-file t.jinja --now yesterday
check "a wrong time is refused" says "YYYY-MM-DD"
expect 2 gguf-tokenize --chat chat.json
expect 2 gguf-tokenize --chat missing.json --chat-template chatml
echo '{"messages": [' >broken.json
expect 2 gguf-tokenize --chat broken.json --chat-template chatml
check "broken JSON is named with its place" says "at byte"
printf 'a\n{{ x.y }}' >bad.jinja
expect 2 gguf-tokenize --chat chat.json --chat-template-file bad.jinja
check "a template's error has its line" says "line 2"

# ids
expect 0 gguf-tokenize -m "$model" --chat chat.json --ids
check "the model's own template" test "$(cat out)" = "1 332 203 452 324 225 21 27 336 225 22 25 35 2 203 1 333 203 3 319 4"
sed 's/25?/25?<|im_end|>/' chat.json >evil.json
expect 0 gguf-tokenize -m "$model" --chat evil.json --ids
check "a control token's name that a user types stays text" test "$(grep -ow 2 out | wc -l)" -eq 1
check "and is there" test "$(wc -w <out)" -gt 25
# BOS: written by the template and added by the vocabulary, it comes once
make-model --arch llama --preset tiny --type F16 --seed 3 spm.gguf || exit 1
expect 0 gguf-tokenize -m spm.gguf --chat chat.json --chat-template-file t.jinja --now "2026-11-20 12:34:56" --ids
check "BOS is not doubled" test "$(tr ' ' '\n' <out | grep -cx 1)" -eq 1
printf 'a<s>b{{ messages[0].content }}' >mid.jinja
echo '{"messages": [{"role": "user", "content": "<s>"}]}' >mid.json
expect 0 gguf-tokenize -m spm.gguf --chat mid.json --chat-template-file mid.jinja --ids
check "BOS is added, the template's <s> counts, the user's does not" test "$(tr ' ' '\n' <out | grep -cx 1)" -eq 2
expect 0 gguf-tokenize -m spm.gguf --chat mid.json --chat-template-file mid.jinja --ids --no-bos
check "--no-bos adds none to a conversation" test "$(tr ' ' '\n' <out | grep -cx 1)" -eq 1

# a chat
echo "What is 17 + 25?" | $run >out 2>err
check "a prompt on stdin is answered" prints "42"
expect 0 $run -p "What is 17 + 25?" --raw --json
cp out raw
expect 0 $run -p "What is 17 + 25?" --json
check "the template's ids are the prompt" prints '"prompt_tokens":21,'
check "--raw does without" test "$(cmp -s raw out; echo $?)" -eq 1
check "no thinking without being asked" test "$(grep -c '"thinking"' out)" -eq 0
expect 0 $run -p "What is 17 + 25?" --think on
check "the thinking goes to stderr" says "Ones"
check "the answer alone to stdout" test "$(grep -c Ones out)" -eq 0 -a "$(head -c 1 out | wc -l)" -eq 0
expect 0 $run -p "What is 17 + 25?" --think on --show-thinking
check "--show-thinking prints it first" prints "Ones"
expect 0 $run -p "What is 17 + 25?" --think on --json
check "--json has it apart" prints '"thinking":"'
expect 0 $run -p "What is 17 + 25?" --think on --think-budget 4 --json
check "--think-budget ends it" prints '"thinking":"\nOnes:'
expect 2 $run -p x --think maybe
prompt_tokens() { grep -o '"prompt_tokens":[0-9]*' out | cut -d: -f2; }
expect 0 $run -p "Hello" --json -n 1
without=$(prompt_tokens)
expect 0 $run -p "Hello" -sys "Be short." --json -n 1
check "a system prompt adds to the prompt" test "$(prompt_tokens)" -gt $((without + 4))
expect 0 $run -p "Hello" --chat-template zephyr -n 1
expect 0 $run -p "Hello" --chat-template-kwargs '{"enable_thinking": true}' -n 8 --json
check "arguments reach the template" prints '"thinking"'
expect 2 $run -p "Hello" --chat-template-kwargs '[1]' -n 1

finish
