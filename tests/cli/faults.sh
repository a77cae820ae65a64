# What can go wrong while a model runs: values that are not finite, threads, memory, time, signals, streams, files that
# change. Each ends with its exit code and a sentence, and never with half a file.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --arch llama --preset tiny --type F32 --seed 3 m.gguf || exit 1
run="gguf-run -m m.gguf --seed 7 -p x"

# under a sanitizer nothing starts in little address space, and it has its own handlers
small=yes
(ulimit -v 400000 && gguf-run --version >out 2>&1) || small=no

# NaN and infinity: layer and token are named, nothing is sampled
for value in '\000\000\300\177' '\000\000\200\177'; do
    for tensor in blk.1.attn_norm.weight blk.1.ffn_down.weight output.weight; do
        cp m.gguf bad.gguf
        at=$(gguf-inspect m.gguf --tensors | awk -v name=$tensor '$1 == name {print $5}')
        printf "$value" | dd of=bad.gguf bs=1 seek="$at" conv=notrunc 2>dd.err
        expect 1 gguf-run -m bad.gguf -p x -n 3
        check "$tensor: not finite is said" says "not finite"
        check "with the token" says "at token"
        [ $tensor = output.weight ] || check "and the layer that finds it" grep -q 'in layer [12] ' err
        check "nothing was sampled" test ! -s out
    done
done

# threads that cannot start: fewer, a warning, the same text
expect 0 $run -n 4
cp out first
if [ $small = yes ]; then
    (ulimit -v 100000; $run -n 4 -t 96 >out 2>err </dev/null)
    check "threads that cannot start are no error" test $? -eq 0
    check "but said" says "of 96 threads could be started"
    check "the text is the same" cmp out first
    (ulimit -v 400000; gguf-eval -m m.gguf --ids 1 --logits x.f32 -c 1000000000 >out 2>err)
    check "memory that is not there is code 5" test $? -eq 5
    check "and the number is named" says "MiB"
fi

# time: in a prompt, while stdin does not come, in generation
yes "word" | head -c 200000 >long.txt
expect 6 gguf-run -m m.gguf -f long.txt -c 300000 --timeout 0.2
check "--timeout in a prompt is said" says "timeout"
mkfifo never
sleep 3 >never &
gguf-run -m m.gguf --timeout 0.2 >out 2>err <never
check "--timeout while stdin does not come" test $? -eq 6
expect 6 $run --ignore-eos -c 100000 --timeout 0.3 --json
check "what was made is printed, as whole JSON" test "$(grep -c '"stop":"timeout".*}$' out)" -eq 1

# Ctrl-C: the token is finished, what was made stays, the shell sees 130
soon=0.5
[ "$small" = no ] && soon=5 # a sanitizer's start is slow
if timeout --preserve-status -s INT 1 true 2>err; then
    timeout --preserve-status -s INT $soon $run --ignore-eos -c 100000 --json >out 2>err </dev/null
    check "Ctrl-C is 130" test $? -eq 130
    check "what was made is printed" prints '"stop":"interrupt"'
fi

# streams that are closed: nothing lands in another file
echo precious >keep
eval="gguf-eval -m m.gguf -f long.txt --chunk 16 --chunks 2 --kl-base"
$eval with.kl >out 2>err
$eval without.kl >&- 2>err
check "a closed stdout puts nothing into a file" cmp with.kl without.kl
$run -n 4 >&- 2>err </dev/null
check "a closed stdout is code 1" test $? -eq 1
check "and is said" says "cannot write to stdout"
$run -n 4 >out 2>&- </dev/null
check "a closed stderr changes nothing" cmp out first
$run -n 4 >out 2>err <&-
check "nor does a closed stdin" cmp out first
gguf-run -m m.gguf --seed 7 -n 4 >empty 2>err </dev/null
code=$?
gguf-run -m m.gguf --seed 7 -n 4 >out 2>err <&-
check "a prompt from it is empty" test $? -eq $code
check "as from /dev/null" cmp out empty

# a file being written when the program is killed or the disk is full: the old one stands
gguf-eval -m m.gguf -f long.txt --chunk 64 --kl-base keep >out 2>err &
pid=$!
sleep 0.5
kill -9 $pid
wait $pid 2>/dev/null
check "a killed run leaves the old file" test "$(cat keep)" = precious
(ulimit -f 8; gguf-eval -m m.gguf -f long.txt --chunk 64 --chunks 2 --kl-base keep >out 2>err)
check "a file that may not grow is code 1" test $? -eq 1
check "and leaves the old one" test "$(cat keep)" = precious

# a model that shrinks while it is mapped
if [ $small = yes ]; then
    cp m.gguf shrinks.gguf
    gguf-run -m shrinks.gguf -p x --ignore-eos -c 100000 >out 2>err </dev/null &
    pid=$!
    sleep 0.5
    : >shrinks.gguf
    wait $pid
    check "a model that shrinks is code 1" test $? -eq 1
    check "and is said" test -s err
fi

# numbers do not depend on the locale (the program never asks for one)
for locale in de_DE.UTF-8 fr_FR.UTF-8; do
    LC_ALL=$locale $run -n 4 --temp 0.8 --top-p 0.95 >out 2>err </dev/null
    check "the same text under $locale" cmp out first
done
finish
