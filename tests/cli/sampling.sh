# The sampler's flags, as far as a command line shows them; tests/unit/test_sampler.c has what each sampler does.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

model=$source/models/tales-5m-q4_k_m.gguf
run="gguf-run -m $model --raw --seed 7 -n 12"
story() { $run -p "The little fox" "$@" 2>err </dev/null; }

story >first
check "there is a story" test -s first
# the default chain by its names, in letters, and with names written otherwise
for chain in "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature" "Top-K;typ;nucleus;minp;temp"; do
    check "--samplers $chain" test "$(story --samplers "$chain")" = "$(cat first)"
done
for chain in edskypmxt kypmt; do
    check "--sampling-seq $chain" test "$(story --sampling-seq $chain)" = "$(cat first)"
done
check "another chain tells another story" test "$(story --samplers 'temperature' --temp 5)" != "$(cat first)"
expect 2 $run -p x --samplers "top_k;nonsense"
check "an unknown sampler is named, and the known ones" says '"nonsense"; there are penalties (e)'
expect 2 $run -p x --sampling-seq kz
check "an unknown letter is named" says '"z"'

# each flag changes the story, and its neutral value does not
for flags in "--top-n-sigma 0.2" "--xtc-probability 1" "--dynatemp-range 0.8" "--mirostat 1" "--mirostat 2" \
    "--typical 0.2" "--repeat-penalty 1.8" "--presence-penalty 4" "--frequency-penalty 4"; do
    check "$flags" test "$(story $flags -n 40)" != "$(story -n 40)"
done
for flags in "--top-n-sigma -1" "--xtc-probability 0" "--dynatemp-range 0" "--mirostat 0" "--typical 1" \
    "--dry-multiplier 0" "--repeat-penalty 1" "--xtc-probability 1 --xtc-threshold 0.6"; do
    check "$flags does nothing" test "$(story $flags)" = "$(cat first)"
done

# logit bias
first_id=$(story --temp 0 -n 1 --json | sed 's/.*"ids":\[\([0-9]*\)\].*/\1/')
check "a token is ruled out" test "$(story --temp 0 -n 1 --json -l "$first_id-inf" | grep -c "\[$first_id\]")" -eq 0
check "and another forced" test "$(story --temp 0 -n 3 --json -l 300+100 | grep -c '\[300,300,300\]')" -eq 1
check "two for one token add up" test "$(story --temp 0 -n 1 --json -l 300+100 -l 300-100 | grep -c "\[$first_id\]")" -eq 1
for bias in 5 x+1 5+ 5+inf 5-nan 5+1x -1+1; do
    expect 2 $run -p x -l $bias
done
expect 2 $run -p x -l 99999+1
check "the vocabulary's size is named" says "0 to 2047"

# DRY: a text that repeats itself goes on with the repetition, unless it costs too much or a breaker cuts it off
tale="Tom had a ball. Tom had a ball. Tom had a ball. Tom had a"
want=$(gguf-tokenize -m "$model" --no-bos --ids -p " ball")
go="gguf-run -m $model --raw --temp 0 -n 1 --json -l $want+20 -p"
check "a bias makes the model repeat itself" test "$($go "$tale" 2>err </dev/null | grep -c "\[$want\]")" -eq 1
again() { $go "$tale" "$@" 2>err </dev/null | grep -c "\[$want\]"; }
check "DRY ends a repetition" test "$(again --dry-multiplier 5)" -eq 0
check "but not a short one" test "$(again --dry-multiplier 5 --dry-allowed-length 40)" -eq 1
check "nor one it does not look back at" test "$(again --dry-multiplier 5 --dry-penalty-last-n 3)" -eq 1
check "a breaker within it" test "$(again --dry-multiplier 5 --dry-sequence-breaker ' had')" -eq 1
check "a breaker over several tokens" test "$(again --dry-multiplier 5 --dry-sequence-breaker 'm had')" -eq 1
check "a breaker elsewhere" test "$(again --dry-multiplier 5 --dry-sequence-breaker none)" -eq 0
expect 2 $go "$tale" --dry-multiplier 1 --dry-sequence-breaker ""
check "an empty breaker is refused" says "breaker is empty"

# stop texts: over several tokens, with escapes, the first of several
text=$(story -n 30)
stop=$(printf '%s' "$text" | cut -c 9-17)
check "a stop text spans tokens" test "$(story -n 30 -r "$stop")" = "$(printf '%s' "$text" | cut -c 1-8)"
check "the first of two ends it" test "$(story -n 30 -r "$(printf '%s' "$text" | cut -c 20-24)" -r "$stop")" = "$(printf '%s' "$text" | cut -c 1-8)"
check "escapes in -r" test "$(story -n 30 -r ' \x54umble')" = "$(story -n 30 -r ' Tumble')"
check "and that is not the whole story" test "$(story -n 30 -r ' \x54umble')" != "$text"
check "--no-escape leaves them" test "$(story -n 30 --no-escape -r ' \x54umble')" = "$text"
finish
