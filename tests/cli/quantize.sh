# gguf-quantize: which tensor gets which type, the bytes on every thread count, keys, what is refused, and that a file is
# written whole or not at all.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --arch llama --preset tiny --ff 256 --layers 2 --type F32 --seed 3 m.gguf || exit 1
make-model --arch llama --preset tiny --ff 256 --layers 16 --type F16 --seed 3 deep.gguf || exit 1
type_of() { gguf-inspect "$1" --tensors | awk -v name="$2" '$1 == name {print $3}'; }
is_type() { check "$2 is $3" test "$(type_of "$1" "$2")" = "$3"; } # FILE TENSOR TYPE
layers() { # FILE NAME TYPE: the layers whose NAME is of the type
    gguf-inspect "$1" --tensors | sed -n "s/^blk\.\([0-9]*\)\.$2\.weight  *[^ ]*  *$3 .*/\1/p" | tr '\n' ' '
}
planned() { # MIX NAME TYPE: the layers whose NAME would get the type
    gguf-quantize --dry-run deep.gguf - "$1" | sed -n "s/.* blk\.\([0-9]*\)\.$2\.weight .* -> $3 .*/\1/p" | tr '\n' ' '
}

# every mix gives a file that runs, with its name in it
for type in F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL \
    IQ4_XS TQ1_0 TQ2_0 MXFP4 MXFP4_MOE; do
    expect 0 gguf-quantize m.gguf $type.gguf $type
    check "$type: progress is on stderr alone" test ! -s out -a -s err
    expect 0 gguf-inspect $type.gguf
    named=$type
    [ $type != MXFP4 ] || named=MXFP4_MOE # they share a number
    check "$type: its name is in the file" prints "$named (general.file_type"
    expect 0 gguf-inspect $type.gguf --check
    expect 0 gguf-run -m $type.gguf --raw -p "Once upon" -n 2 --seed 1
    is_type $type.gguf blk.1.attn_norm.weight F32
done
is_type F16.gguf blk.1.ffn_up.weight F16
is_type Q8_0.gguf output.weight Q8_0
is_type MXFP4.gguf output.weight Q8_0
is_type MXFP4.gguf blk.0.ffn_up.weight MXFP4
is_type Q4_0.gguf output.weight Q6_K
is_type Q4_0.gguf token_embd.weight Q4_0
is_type TQ1_0.gguf token_embd.weight Q4_K

# the mixes' rules, over 16 layers
check "Q4_K_M: v" test "$(planned Q4_K_M attn_v Q6_K)" = "0 1 4 7 10 13 14 15 "
check "Q4_K_M: down" test "$(planned Q4_K_M ffn_down Q6_K)" = "0 1 4 7 10 13 14 15 "
check "Q4_K_M: the rest" test "$(planned Q4_K_M ffn_up Q4_K | wc -w)" -eq 16
check "Q4_K_S: v" test "$(planned Q4_K_S attn_v Q5_K)" = "0 1 2 3 "
check "Q4_K_S: down" test "$(planned Q4_K_S ffn_down Q5_K)" = "0 1 "
check "Q3_K_M: v" test "$(planned Q3_K_M attn_v Q5_K)" = "0 1 "
check "Q3_K_M: down" test "$(planned Q3_K_M ffn_down Q5_K)" = "0 "
check "Q3_K_M: attn_output" test "$(planned Q3_K_M attn_output Q4_K | wc -w)" -eq 16
check "Q3_K_L: down" test "$(planned Q3_K_L ffn_down Q5_K | wc -w)" -eq 16
check "Q2_K: v" test "$(planned Q2_K attn_v Q3_K | wc -w)" -eq 16
check "Q2_K_S: down" test "$(planned Q2_K_S ffn_down Q4_K)" = "0 1 "
make-model --arch llama --preset tiny --heads 8 --kv-heads 2 --ff 256 --type F16 grouped.gguf
expect 0 gguf-quantize grouped.gguf q.gguf Q2_K
check "v that four heads share is kept better" test "$(layers q.gguf attn_v Q4_K | wc -w)" -eq 4
expect 0 gguf-quantize grouped.gguf q.gguf IQ4_XS
check "by IQ4_XS, too" test "$(layers q.gguf attn_v Q5_K | wc -w)" -eq 4
make-model --arch llama --embd 256 --ff 256 --layers 2 --heads 4 --vocab 300 --type F16 --tied --key expert_count=u32:8 \
    --key expert_used_count=u32:2 experts.gguf
expect 0 gguf-quantize experts.gguf q.gguf Q4_K_M
check "eight experts: v" test "$(layers q.gguf attn_v Q8_0)" = "0 1 "
check "eight experts: k" test "$(layers q.gguf attn_k Q8_0)" = "0 1 "
check "eight experts: attn_output" test "$(layers q.gguf attn_output Q5_K)" = "0 1 "
check "the router stays" test "$(layers q.gguf ffn_gate_inp F32)" = "0 1 "
is_type q.gguf token_embd.weight Q6_K
expect 0 gguf-quantize experts.gguf q.gguf MXFP4_MOE
check "experts in MXFP4" test "$(layers q.gguf ffn_up_exps MXFP4)" = "0 1 "
check "the rest in Q8_0" test "$(layers q.gguf attn_q Q8_0)" = "0 1 "
expect 0 gguf-run -m q.gguf --raw -p x -n 2

# the same file as the exporter's, but for how the blocks were fitted: the project's model
tales=$source/models/tales-5m
expect 0 gguf-quantize $tales-q8_0.gguf f16.gguf F16
expect 0 gguf-quantize f16.gguf q4.gguf Q4_K_M
gguf-inspect q4.gguf --metadata >got
gguf-inspect $tales-q4_k_m.gguf --metadata >want
check "the keys are kept" cmp got want
gguf-inspect q4.gguf --tensors | awk '{print $1, $2, $3}' | sort >got
gguf-inspect $tales-q4_k_m.gguf --tensors | awk '{print $1, $2, $3}' | sort >want
check "the types are the same" cmp got want
printf 'Once upon a time, there was a little fox named Tumble. One day, Tumble found a red ball by the river.\n%.0s' 1 2 3 4 5 6 >text
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do cat text text text text text; done >long
expect 0 gguf-eval -m f16.gguf -f text --chunk 64 --kl-base base.kl
expect 0 gguf-eval -m q4.gguf --kl base.kl --json
kl=$(sed -n 's/.*"kl_mean":\([0-9.e-]*\),.*/\1/p' out)
check "four bits are near sixteen (KL $kl)" awk -v kl="$kl" "BEGIN { exit !(kl > 0 && kl < 0.01) }"

# the same bytes whatever the threads
for flags in "1" "3"; do
    expect 0 gguf-quantize m.gguf t.gguf Q4_K_M $flags
    check "the same bytes with $flags threads" cmp t.gguf Q4_K_M.gguf
done
expect 0 gguf-quantize --no-mmap m.gguf t.gguf q4_k_m
check "and without mmap, by the name in small letters" cmp t.gguf Q4_K_M.gguf
expect 0 gguf-quantize m.gguf t.gguf 15
check "and by its number" cmp t.gguf Q4_K_M.gguf
expect 0 gguf-quantize Q8_0.gguf exact.gguf F32
gguf-inspect Q8_0.gguf --tensor blk.1.ffn_up.weight --values 1000:1100 >want
gguf-inspect exact.gguf --tensor blk.1.ffn_up.weight --values 1000:1100 >got
check "F32 holds what Q8_0 held" cmp got want

# flags
expect 0 gguf-quantize --pure m.gguf q.gguf Q4_K_M
check "--pure" test "$(gguf-inspect q.gguf --tensors | awk '$3 != "F32" {print $3}' | sort -u)" = Q4_K
expect 0 gguf-quantize --leave-output-tensor m.gguf q.gguf Q4_K_M
is_type q.gguf output.weight F32
expect 0 gguf-quantize --output-tensor-type q8_0 --token-embedding-type BF16 m.gguf q.gguf Q4_K_M
is_type q.gguf output.weight Q8_0
is_type q.gguf token_embd.weight BF16
expect 0 gguf-quantize --tensor-type 'blk\.[0x]\.ffn_up=Q6_K' --tensor-type 'ffn_up=IQ3_S' m.gguf q.gguf Q4_K_M
check "--tensor-type, the first that fits" test "$(layers q.gguf ffn_up Q6_K)" = "0 "
check "--tensor-type, then the next" test "$(layers q.gguf ffn_up IQ3_S)" = "1 "
expect 0 gguf-quantize m.gguf q.gguf Q8_0 --override-kv \
    "llama.context_length=int:99,general.name=str:other,llama.made.up=float:0.5,general.file_type=int:1"
gguf-inspect q.gguf --metadata >keys
check "--override-kv keeps a key's type" grep -qE 'llama.context_length +u32 +99$' keys
check "of text" grep -q 'general.name .*"other"' keys
check "a key that was not there" grep -qE 'llama.made.up +f32 +0.5$' keys
check "against what the types say" grep -qE 'general.file_type +u32 +1$' keys
expect 0 gguf-quantize --dry-run m.gguf never.gguf Q4_K_S
check "--dry-run prints" prints "blk.0.attn_v.weight"
check "a line a tensor and the sum" test "$(wc -l <out)" -eq $(($(gguf-inspect m.gguf --tensors | wc -l) + 1))
check "and writes nothing" test ! -e never.gguf

# rows that do not fill blocks of 256
make-model --arch llama --embd 96 --ff 320 --layers 2 --heads 4 --vocab 300 --type F16 odd.gguf
expect 0 gguf-quantize odd.gguf q.gguf Q4_K_M
check "it is said" says "blk.0.attn_q.weight: rows of 96 do not fill blocks of Q4_K: Q5_0 instead"
is_type q.gguf blk.0.attn_q.weight Q5_0
is_type q.gguf output.weight Q8_0
expect 0 gguf-run -m q.gguf --raw -p x -n 2
make-model --arch llama --embd 40 --ff 80 --layers 2 --heads 4 --kv-heads 2 --vocab 300 --type F32 odder.gguf
expect 0 gguf-quantize odder.gguf q.gguf Q8_0
is_type q.gguf blk.0.attn_q.weight F16

# COPY joins shards
make-model --arch llama --preset tiny --type F16 --seed 3 --shards 3 s.gguf
make-model --arch llama --preset tiny --type F16 --seed 3 one.gguf
expect 0 gguf-quantize s-00002-of-00003.gguf joined.gguf COPY
gguf-inspect joined.gguf --hash | sort >got
gguf-inspect one.gguf --hash | sort >want
check "COPY joins a split model" cmp got want
check "and says nothing of its shards" test "$(gguf-inspect joined.gguf --metadata | grep -c '^split')" -eq 0
make-model --arch llama --preset tiny --type F16 --align 256 aligned.gguf
expect 0 gguf-quantize aligned.gguf q.gguf Q4_K_M
expect 0 gguf-inspect q.gguf
check "the alignment stays" prints "alignment 256"

# what is refused
expect 2 gguf-quantize Q8_0.gguf q.gguf Q4_K_M
check "rounding twice is refused with the way out" says "--allow-requantize"
expect 0 gguf-quantize --allow-requantize Q8_0.gguf q.gguf Q4_K_M
expect 2 gguf-quantize
expect 2 gguf-quantize m.gguf
expect 2 gguf-quantize m.gguf q.gguf
check "what is missing is said" says "an input, an output and a type"
expect 2 gguf-quantize m.gguf q.gguf Q9
check "the types are named" says "Q4_K_M"
expect 2 gguf-quantize m.gguf q.gguf Q8_0 0
expect 2 gguf-quantize m.gguf q.gguf Q8_0 2 3
expect 2 gguf-quantize m.gguf ./m.gguf Q8_0
check "the input is not overwritten" says "input and output at once"
for bad in --tensor-type=x --tensor-type='[=Q8_0' --tensor-type=x=Q9 --output-tensor-type=Q9 --token-embedding-type=I8 \
    --override-kv=x --model=m.gguf; do
    expect 2 gguf-quantize "$bad" m.gguf q.gguf Q8_0
done
expect 3 gguf-quantize missing.gguf q.gguf Q8_0
head -c 100000 m.gguf >cut.gguf
expect 3 gguf-quantize cut.gguf q.gguf Q8_0
expect 1 gguf-quantize m.gguf no/such/folder.gguf Q8_0
cp m.gguf nan.gguf
at=$(gguf-inspect m.gguf --tensors | awk '$1 == "blk.1.ffn_down.weight" {print $5}')
printf '\000\000\300\177' | dd of=nan.gguf bs=1 seek=$((at + 400)) conv=notrunc 2>dd.err
expect 1 gguf-quantize nan.gguf nan-out.gguf Q4_K_M
check "a NaN is named with its place" says "blk.1.ffn_down.weight, from value 0 on: value 100 is not finite"
check "and leaves no file" test ! -e nan-out.gguf

# whole or not at all
echo old >kept.gguf
(ulimit -f 100; gguf-quantize m.gguf kept.gguf Q8_0 >out 2>err)
check "a write that fails is code 1" test $? -eq 1
check "it is said" says "cannot write"
check "the old file stands" test "$(cat kept.gguf)" = old
if timeout --preserve-status -s INT 1 true 2>err; then
    for soon in 0.2 0.3 0.4; do # timeout sends the signal twice, to the program and to its group, so that some end at once
        timeout --preserve-status -s INT $soon gguf-quantize --allow-requantize --tensor-type '.=IQ1_M' $tales-q8_0.gguf \
            kept.gguf Q4_K_M 1 >out 2>err
        check "Ctrl-C is 130" test $? -eq 130
        check "the old file stands after it" test "$(cat kept.gguf)" = old
    done
    timeout -s TERM 0.4 gguf-quantize --allow-requantize --tensor-type '.=IQ1_M' $tales-q8_0.gguf kept.gguf Q4_K_M 1 >out 2>err
    check "it is ended by SIGTERM" test $? -eq 124
    timeout --preserve-status -s INT 0.3 gguf-eval -m $tales-q8_0.gguf -f long --chunk 64 --kl-base kept.kl >out 2>err
    check "Ctrl-C ends gguf-eval --kl-base" test $? -eq 130
fi
if timeout --foreground -s INT 1 true 2>err; then # once, and in the middle of a batch, which takes twice the time allowed
    make-model --arch llama --embd 1024 --ff 1024 --layers 1 --heads 8 --vocab 1024 --type F16 --tied wide.gguf
    begin=$(date +%s)
    timeout --foreground --preserve-status -s INT 0.5 gguf-quantize --tensor-type '.=IQ1_M' wide.gguf kept.gguf Q4_K_M 1 >out 2>err
    check "Ctrl-C is 130 within a tensor" test $? -eq 130
    check "and is heard soon" test $(($(date +%s) - begin)) -lt 4
fi
check "nothing is left of what was not finished" test -z "$(ls -- *.tmp 2>err)"
finish
