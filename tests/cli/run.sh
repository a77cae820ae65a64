# gguf-run: streams, exit codes, JSON, stops, the same text on every thread count and instruction set.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --arch llama --preset tiny --type Q4_K --seed 3 m.gguf || exit 1
run="gguf-run -m m.gguf --seed 7"

# the answer goes to stdout and nothing else
expect 0 $run -p "Once upon" -n 12
cp out first
check "the answer is not empty" test -s first
check "nothing on stderr without a terminal" test ! -s err

# the same text: threads, tiers, chunks, --no-mmap, the other name, a split model
for flags in "-t 1" "-t 3" "-ub 1" "-b 3" "--no-mmap" "--mlock"; do
    expect 0 $run -p "Once upon" -n 12 $flags
    check "the same text with $flags" cmp out first
done
for tier in scalar avx2 avxvnni avx512 neon; do
    GGUF_CPU=$tier gguf-run -m m.gguf --seed 7 -p "Once upon" -n 12 >out 2>err
    case $? in
    0) check "the same text on $tier" cmp out first ;;
    2) check "a tier that is missing is named" says "$tier" ;;
    *) fail "GGUF_CPU=$tier" ;;
    esac
done
expect 0 gguf run -m m.gguf --seed 7 -p "Once upon" -n 12
check "gguf run is gguf-run" cmp out first
expect 0 $run --prompt="Once upon" --n_predict 12 --no-timings
check "long names, = and _" cmp out first

# where the prompt comes from
printf 'Once upon' >prompt.txt
expect 0 $run -f prompt.txt -n 12
check "-f reads a file" cmp out first
printf 'Once upon' | $run -n 12 >out 2>err
check "stdin is the prompt" cmp out first
printf 'Once' | $run -f - -p ' upon' -n 12 >out 2>err
check "-f - comes before -p" cmp out first
expect 0 $run -p 'Once\x20upon' -n 12
check "escapes in -p" cmp out first
expect 0 $run -p 'Once upon' -n 12 --no-escape
check "without escapes the same" cmp out first
printf 'x\n' | while read -r line; do $run -p "$line" -n 1 >/dev/null; done
printf 'a\nb\nc\n' | (while read -r line; do $run -p "$line" -n 1 >/dev/null; echo "$line"; done) >lines
check "a loop keeps its input" test "$(wc -l <lines)" -eq 3
expect 0 $run -p "Once upon" -n 12 --echo
check "--echo prints the prompt first" test "$(cat out)" = "Once upon$(cat first)"

# JSON
expect 0 $run -p "Once upon" -n 5 --temp 0 --json
check "one object" test "$(wc -l <out)" -eq 1
for key in text ids prompt_tokens tokens stop prompt_ms gen_ms prompt_tps gen_tps seed; do
    check "--json has $key" prints "\"$key\":"
done
check "--json says how it ended" prints '"stop":"length"'
check "--json counts" prints '"tokens":5'
expect 0 $run -p "Once upon" -n 4 --jsonl --logprobs 2
check "one line a token" test "$(grep -c '"logprob":' out)" -eq 4
check "--logprobs gives the likeliest" prints '"top":[{"id":'

expect 0 $run -p "Once upon" -n 12 --profile
check "--profile changes no text" cmp out first
check "--profile shows each kind" test "$(grep -cE '^(matrix products|attention|rms norm) ' err)" -eq 3

expect 0 $run -p "Once upon" -n 6
expect 0 $run -p "Once upon" -n 6 -r "$(tail -c 3 out)Q" --jsonl
check "what a stop text held back comes at the end" test "$(grep -c '"id":null' out)" -eq 1
jq -j .text <out >jsonl_text 2>err || :
expect 0 $run -p "Once upon" -n 6
command -v jq >jq_path && check "--jsonl loses no text" cmp jsonl_text out
expect 0 $run -p "Once upon" -n 1 --jsonl --logprobs 1000
check "no more likeliest tokens than there are" test "$(grep -c '"id":-1' out)" -eq 0
expect 2 $run -p "Once upon" --json --jsonl
expect 0 $run -p "Once upon" -n 12 --temp 0
cp out greedy
expect 0 $run -p "Once upon" -n 12 --temp 1e-40
check "the coldest temperature is greedy" cmp out greedy

# limits and stops
expect 0 $run -p "Once upon" -n 0
check "-n 0 gives nothing" test ! -s out
expect 0 $run -p "Once upon" -c 16 --ignore-eos
check "a full context is said" says "the context of 16 positions is full"
expect 0 $run -p "Once upon" -c 16 --ignore-eos --json
check "and is the reason in JSON" prints '"stop":"context"'
stop=$(cut -c3-5 <first)
expect 0 $run -p "Once upon" -n 12 -r "$stop"
check "a stop text is not printed" test "$(cat out)" = "$(cut -c1-2 <first)"
expect 4 $run -p "a long prompt that does not fit" -c 4
check "both numbers are named" says "of its 4 positions"
check "nothing is printed" test ! -s out

# usage
expect 2 gguf-run
check "the way out is named" says "-m FILE"
expect 2 gguf-run -m "" -p x
check "an empty name, as of a script that failed, is no model" says "no model was given"
expect 2 gguf-run -m m.gguf -p x --no-such-flag
check "the flag is named" says "--no-such-flag"
for pair in --tmep=--temp --temperatur=--temp --n-predcit=--n-predict -temp=--temp --no-cnv=-no-cnv --mirostat-l=--mirostat-lr; do
    expect 2 gguf-run -m m.gguf -p x ${pair%%=*} 1
    check "${pair%%=*} is near to ${pair#*=}" says "is it ${pair#*=}"
done
expect 2 gguf-run -m m.gguf -p x --zzzzzz
check "nothing is near to nonsense" test "$(grep -c 'is it' err)" -eq 0
expect 2 gguf-run -m m.gguf -p x --plan
check "another command's flag is told" says "gguf-inspect has"
for pair in --grammar=leave --json-schema=leave --lora=merge --mmproj=text -md=leave -hf=fetch-model -i=-cnv; do
    expect 2 gguf-run -m m.gguf -p x ${pair%%=*} y
    check "${pair%%=*}: the way out" says "${pair#*=}"
done
expect 2 gguf-run -m m.gguf -p x -n ten
expect 2 gguf-run -m m.gguf -p x -n
expect 2 gguf-run -m m.gguf -p x --temp -nan
expect 2 gguf-run -m m.gguf -p x -ngl 99
check "a GPU that is not there is refused" says "CPU"
expect 2 gguf-run -m m.gguf -p x extra
expect 2 gguf-run -m m.gguf -f no-such-file
expect 2 gguf-run -m m.gguf -f .
check "a folder is called so" says "Is a directory"
GGUF_CPU=sse9 gguf-run -m m.gguf -p x >out 2>err </dev/null
check "an unknown tier is refused" test $? -eq 2
expect 2 gguf no-such-command
expect 2 gguf inspcet
check "the nearest command is told" says "is it inspect?"
expect 0 gguf-run --help
check "--help goes to stdout" prints "Usage: gguf-run"
expect 0 gguf --version
check "--version" prints "gguf "
LLAMA_ARG_N_PREDICT=3 $run -p "Once upon" --json >out 2>err </dev/null
check "LLAMA_ARG_ variables are read" prints '"tokens":3'

# threads for prompts; flags that are read for llama.cpp's sake
for flags in "-tb 1" "-t 1 -tb 3" "-t 3 -tb 1" "-fa on" "-fa auto" "-fa" "-fa --mmap" "--flash-attn=off" "--keep 5" "-st" "--mmap" \
    "--color" "--color on" "-co" "--no-warmup --jinja" "--no-perf" "--log-disable" "--no-context-shift" "--simple-io" "-no-cnv"; do
    expect 0 $run -p "Once upon" -n 12 $flags
    check "the same text with $flags" cmp out first
done
expect 2 $run -p x -fa maybe
check "the choices are named" says "on|off|auto"
expect 0 $run -p x -n 1 --perf
check "--perf prints timings" says "tokens/s"
expect 0 $run -p x -n 1 --perf --log-disable
check "--log-disable none" test ! -s err
expect 0 $run -p "Once upon a time there was" -n 4 -t 1 -tb 2 --profile
check "both threads' work is in the profile" test "$(grep -cE '^(matrix products|attention|rms norm) ' err)" -eq 3

# metadata instead of the file's
arch=llama
expect 0 $run -p "Once upon" -n 12 --rope-freq-base 500
cp out other_base
check "--rope-freq-base changes the text" test "$(cksum <out)" != "$(cksum <first)"
expect 0 $run -p "Once upon" -n 12 --override-kv $arch.rope.freq_base=float:500
check "and is that key" cmp out other_base
expect 0 $run -p "Once upon" -n 12 --rope-scale 4
cp out scaled
check "--rope-scale changes the text" test "$(cksum <out)" != "$(cksum <first)"
for flags in "--rope-freq-scale 0.25" "--rope-scaling linear --rope-scale 4" \
    "--override-kv $arch.rope.scaling.type=str:linear,$arch.rope.scaling.factor=float:4"; do
    expect 0 $run -p "Once upon" -n 12 $flags
    check "$flags is the same" cmp out scaled
done
expect 0 $run -p "Once upon" -n 12 --rope-scale 4 --rope-scaling none
check "--rope-scaling none scales nothing" cmp out first
expect 0 $run -p x -n 1 -v --override-kv "general.name=str:a, b,made.up=int:-5"
check "a comma in a value" says '"a, b"'
check "-v counts a small model's parameters" sh -c "grep -qE '[0-9] (K|M) parameters' err"
for bad in key key=5 key=int:x key=bool:1 =int:5 key=float:; do
    expect 2 $run -p x --override-kv $bad
done
expect 3 $run -p x --override-kv $arch.block_count=int:0
check "an override is checked as the file is" says "block_count"
LLAMA_ARG_ROPE_SCALE=4 $run -p "Once upon" -n 12 >out 2>err </dev/null
check "LLAMA_ARG_ROPE_SCALE" cmp out scaled
LLAMA_ARG_MMAP=0 LLAMA_ARG_NO_SHOW_TIMINGS= LLAMA_ARG_MLOCK=off LLAMA_ARG_FLASH_ATTN=1 $run -p "Once upon" -n 12 >out 2>err </dev/null
check "variables of switches" cmp out first
for pair in LLAMA_ARG_MLOCK=maybe LLAMA_ARG_FLASH_ATTN=2 LLAMA_ARG_THREADS=x; do
    env $pair $run -p "Once upon" -n 12 >out 2>err </dev/null
    check "$pair is code 2" test $? -eq 2
    check "and the variable is named" says "${pair%%=*}"
done

# models that cannot be used
for kind in text empty directory fifo half missing; do
    case $kind in
    text) echo "this is no model, it is a text of some length" >bad ;;
    empty) : >bad ;;
    directory) rm -f bad; mkdir bad ;;
    fifo) rmdir bad; mkfifo bad ;;
    half) rm -f bad; head -c 100000 m.gguf >bad ;;
    missing) rm -f bad ;;
    esac
    expect 3 gguf-run -m bad -p x -n 1
    check "$kind: the file is named" says "bad: "
    expect 3 gguf-run -m bad -p x -n 1 --no-mmap
done
expect 3 gguf-run -m bad -p x
check "a missing file is called so" says "No such file"

# memory, time, interruption, full disk
# (under AddressSanitizer nothing starts with so little address space; the machine's own memory is the limit there)
limit=400000
(ulimit -v $limit && gguf-run --version >out 2>&1) || limit=unlimited
(ulimit -v $limit; gguf-run -m m.gguf -p x -c 1000000000 >out 2>err </dev/null)
check "a context beyond memory is code 5" test $? -eq 5
cp err err5
if [ $limit != unlimited ]; then
    make-model --preset tiny --ctx 100000000 --type F16 wide.gguf || exit 1
    (ulimit -v $limit; gguf-run -m wide.gguf -p x -n 1 >out 2>err </dev/null)
    check "a trained context that cannot fit is lowered" test $? -eq 0
    check "with a line that says so" says "using"
fi
cp err5 err
check "and the number is named" says "1000000000 positions"
make-model --preset tiny --set "general.name=string:evil$(printf '\033')[31m" evil.gguf || exit 1
expect 0 gguf-run -m evil.gguf -p x -n 1 -v
check "control characters of a name are not shown" test "$(grep -c "$(printf '\033')" err)" -eq 0
expect 6 $run -p "Once upon" --ignore-eos -c 100000 -n 100000000 --timeout 0.5
check "--timeout is said" says "timeout"
check "what was made is printed" test -s out
# a shell that is not interactive starts background jobs with SIGINT ignored, so a small program delivers it
gguf-run -m m.gguf -p "Once upon" --ignore-eos -c 100000 >out 2>err </dev/null &
pid=$!
sleep 0.3
kill -TERM $pid
wait $pid
check "SIGTERM ends it" test $? -eq 143
if [ -e /dev/full ]; then
    gguf-run -m m.gguf -p "Once upon" -n 3 >/dev/full 2>err </dev/null
    check "a full disk is code 1" test $? -eq 1
    check "and is said, with its reason" says "No space left"
fi
(gguf-run -m m.gguf -p "Once upon" --ignore-eos -n 2000 2>err </dev/null; echo $? >code) | head -c 3 >/dev/null
check "a closed pipe ends it quietly" test "$(cat code)" -eq 141
check "without a word" test ! -s err
LC_ALL=de_DE.UTF-8 gguf-run -m m.gguf -p "Once upon" -n 1 --temp 0.5 --json >out 2>err </dev/null
check "numbers do not depend on the locale" prints '"prompt_ms":'
finish
