#!/bin/sh
# gguf-inspect: every flag's output and exit code, on sound, odd and damaged files.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

holds() { grep -q -- "$1" out; } # stdout has a line of this pattern
lines() { [ "$(wc -l <out)" -eq "$1" ]; }
quiet() { [ ! -s err ]; }

make-model --preset tiny --arch smollm3 --type Q4_K_M m.gguf || fail "make-model"
make-model --preset tiny --type F32 plain.gguf || fail "make-model"

# ---- the summary ---------------------------------------------------------------------------------
expect 0 gguf-inspect m.gguf
check "quiet" quiet
check "version" holds '^format  *GGUF version 3, .* 38 tensors'
check "architecture" holds '^architecture  *smollm3$'
check "parameters, human and exact" holds '^parameters  *2\.49 M  *(2492672)$'
check "bits" holds '^bits a weight  *4\.91$'
check "the mix has its name" holds '^quantization  *Q4_K_M (general.file_type 15)$'
check "context" holds '^context  *512$'
check "hyper-parameters lose their prefix" holds '^  block_count  *4$'
check "defaults are marked" \
    holds '^  attention.key_length  *32  *not in the file; default embedding_length / attention.head_count$'
check "keys that are not read are listed" holds '^  vocab_size  *512  (not used)$'
check "layers without RoPE" holds '^  layers without RoPE: 3$'
check "token ids have names" holds '^  bos_token_id  *1  *<s>$'
check "chat template" holds '^  chat template  *no$'
check "types" holds '^  Q4_K  *24  *2031616  *1142784  *74\.8%  *4\.50$'
check "memory" holds '^  cache  *1\.00 MiB  *(1048576 bytes)$'
expect 0 gguf-inspect -m m.gguf -c 1024 -ctk f32
check "-c and -ctk count" holds '^  cache  *3\.00 MiB'
expect 0 gguf-inspect plain.gguf
check "every layer of a llama has RoPE" holds '^  layers without RoPE: none$'

# what a sound file may lack
make-model --preset tiny --vocab-kind none none.gguf
make-model --preset tiny --drop tokenizer.ggml.model toothless.gguf
make-model --preset tiny --set general.architecture=string:martian martian.gguf
make-model --preset tiny --drop general.architecture nameless.gguf
make-model --preset tiny --drop llama.block_count --drop llama.context_length bare.gguf
for file in none martian nameless bare; do expect 0 gguf-inspect $file.gguf; done
check "what a model needs and the file lacks" holds '^  block_count  *-  *missing$'
expect 0 gguf-inspect martian.gguf
check "an unknown architecture is said" prints 'not supported: this program runs'
expect 0 gguf-inspect none.gguf
check "a vocabulary that is none" holds '^  model  *no_vocab$'
expect 0 gguf-inspect toothless.gguf
check "no tokenizer" holds '^  none (tokenizer.ggml.model)$'
# a header alone: no keys, no tensors
printf 'GGUF\003\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000' >empty.gguf
for flag in '' --metadata --tensors --json --check --hash; do expect 0 gguf-inspect empty.gguf $flag; done
expect 1 gguf-inspect empty.gguf --template
expect 3 gguf-inspect empty.gguf --plan
expect 3 gguf-inspect empty.gguf --explain
expect 2 gguf-inspect empty.gguf --tensor x

# ---- lists ---------------------------------------------------------------------------------------
expect 0 gguf-inspect m.gguf --metadata
check "one line a key" lines 21
check "scalars" holds '^smollm3.block_count  *u32  *4$'
check "arrays are cut, with their length" \
    holds '^tokenizer.ggml.tokens  *string\[\]  *\["<unk>", "<s>", .*, \.\.\.\] (512 values)$'
long=$(printf '%0300d' 7)
make-model --preset tiny --set "general.name=string:$long" \
    --set "tokenizer.chat_template=string:$(printf 'a\n\033[31mb \303\251')" text.gguf
expect 0 gguf-inspect text.gguf --metadata
check "long strings are cut, with their length" holds '^general.name  *string  *"0*"\.\.\. (300 bytes)$'
check "a string stays on its line" holds '^tokenizer.chat_template  *string  *"a\\n\\x1b\[31mb '
expect 0 gguf-inspect text.gguf --template
printf 'a\n\033[31mb \303\251' >want
check "the template is raw in a pipe" cmp -s out want
expect 1 gguf-inspect m.gguf --template
check "no template is said" says 'has no chat template'
if script -qec true /dev/null >script.out 2>&1; then # a terminal
    expect 0 script -qec 'gguf-inspect text.gguf --template' /dev/null
    check "a terminal gets no control characters" [ "$(tr -d '\r\n' <out)" = "a[31mb $(printf '\303\251')" ]
    expect 0 script -qec 'gguf-inspect m.gguf --tensors' /dev/null
    check "and a line of headings" holds '^name  *shape  *type  *bytes  *offset  *shard'
fi

expect 0 gguf-inspect m.gguf --tensors
check "one line a tensor" lines 38
check "six columns" [ "$(awk 'NF != 6' out | wc -l)" -eq 0 ]
check "a row" holds '^blk.0.ffn_up.weight  *256x512  *Q4_K  *73728  *[0-9][0-9]*  0$'
check "the bytes are those of the type table" [ "$(awk '{n += $4} END {print n}' out)" = 1528320 ]

# ---- JSON ----------------------------------------------------------------------------------------
expect 0 gguf-inspect text.gguf --json
check "arrays are abbreviated" holds '"tokenizer.ggml.tokens": {"type": "string\[\]", "n": 512, "first": \["<unk>", '
check "control characters are escaped" holds '"value": "a\\n\\u001b\[31mb '
expect 0 gguf-inspect m.gguf --json-arrays
check "or whole" holds '"tokenizer.ggml.tokens": {"type": "string\[\]", "value": \["<unk>", '
check "hyper-parameters" holds '"attention.key_length": { "value": 32, "in_file": false, "default": '
check "layers without RoPE" holds '"layers_without_rope": \[ 3 \]'
make-model --preset tiny --set big.u64=u64:18446744073709551615 --set big.nan=f32:nan --set big.inf=f64:inf \
    --set "big.bytes=string:$(printf 'a\377b')" odd.gguf
expect 0 gguf-inspect odd.gguf --json
check "u64 is exact" holds '"big.u64": {"type": "u64", "value": 18446744073709551615}'
check "NaN is null" holds '"big.nan": {"type": "f32", "value": null}'
check "infinity is null" holds '"big.inf": {"type": "f64", "value": null}'
check "bytes that are no text become U+FFFD" holds "\"value\": \"a$(printf '\357\277\275')b\""
if command -v jq >jq.path; then
    for file in m none martian nameless bare empty text odd; do
        expect 0 gguf-inspect $file.gguf --json-arrays
        check "$file: JSON that jq reads" jq -e . out >jq.out
    done
fi
expect 2 gguf-inspect m.gguf --json --hash

# ---- memory --------------------------------------------------------------------------------------
expect 0 gguf-inspect m.gguf --plan
check "fits" holds '^fits  *yes'
expect 0 gguf-inspect m.gguf --plan -c 1073741824
check "does not fit" holds '^fits  *no; the largest context that does is [1-9]'
expect 3 gguf-inspect bare.gguf --plan

# ---- explanations --------------------------------------------------------------------------------
expect 0 gguf-inspect m.gguf --explain
check "can be run" prints 'This file can be run here: a smollm3 model with 2.49 M parameters'
expect 3 gguf-inspect m.gguf --explain -c 1073741824
check "not with this context" prints 'A context of 1073741824 positions takes'
explains() { # FILE TEXT...: it cannot be run, and each text is among the reasons
    expect 3 gguf-inspect "$1" --explain
    shift
    check "it is said that it cannot" prints 'This file cannot be run here:'
    for text; do check "the reason: $text" prints "$text"; done
}
explains martian.gguf 'The architecture martian is not supported'
explains none.gguf 'has no tokenizer'
explains toothless.gguf 'has no tokenizer'
explains bare.gguf '2 hyper-parameters are missing, which a llama model needs: context_length, block_count.'
make-model --preset tiny --vocab-kind bpe --pre martian --set general.architecture=string:venusian two.gguf
explains two.gguf 'The architecture venusian is not supported' 'the pre-tokenizer martian'
make-model --preset tiny --drop-tensor output_norm.weight --drop-tensor blk.2.attn_q.weight \
    --set llama.feed_forward_length=u32:511 three.gguf
explains three.gguf '2 tensors are missing, which a llama model needs: output_norm.weight, blk.2.attn_q.weight.' \
    'The tensor blk.0.ffn_up.weight is of shape 256x512; the hyper-parameters ask for 256x511' '4 more tensors'
printf 'version https://git-lfs.github.com/spec/v1\n' >lfs.gguf
explains lfs.gguf 'Git LFS pointer'
printf '<!DOCTYPE html><html>' >page.gguf
explains page.gguf 'HTML page'
size=$(wc -c <m.gguf)
head -c $((size - 12345)) m.gguf >cut.gguf
explains cut.gguf 'cut short by 12345 bytes'
explains missing.gguf 'No such file'

# ---- damage --------------------------------------------------------------------------------------
for file in lfs page cut missing; do
    expect 3 gguf-inspect $file.gguf
    check "$file: nothing on stdout" [ ! -s out ]
done
expect 3 gguf-inspect .
for bytes in 0 3 4 8 20 24 100 1000 10000; do
    head -c $bytes m.gguf >cut.gguf
    expect 3 gguf-inspect cut.gguf
    expect 3 gguf-inspect cut.gguf --json
done

# ---- split models --------------------------------------------------------------------------------
make-model --preset tiny --shards 3 s.gguf
expect 0 gguf-inspect s-00002-of-00003.gguf --tensors
check "tensors of all files" [ "$(awk '{print $6}' out | sort -u | tr '\n' ' ')" = '0 1 2 ' ]
expect 0 gguf-inspect s-00001-of-00003.gguf --explain
rm s-00002-of-00003.gguf
expect 3 gguf-inspect s-00003-of-00003.gguf
check "the missing file is named" says 's-00002-of-00003.gguf'
explains s-00001-of-00003.gguf 'split into 3 files, and of those 1 is missing: 2 of 3.'

# ---- the weights ---------------------------------------------------------------------------------
for type in NVFP4 MXFP4 IQ1_M IQ2_XXS IQ3_S IQ4_XS TQ1_0; do # a block may have several scales, or an odd place for them
    make-model --preset tiny --type $type types.gguf || fail "make-model --type $type"
    expect 0 gguf-inspect types.gguf --check
    check "$type is sound" holds "^token_embd.weight  *$type  *0  *0  *0  *0$"
done
expect 0 gguf-inspect m.gguf --check
check "one line a tensor" lines 38
check "nothing found" [ "$(awk '$3 + $4 + $5 + $6' out | wc -l)" -eq 0 ]
# a tensor of m.gguf and of plain.gguf, and where it stands
place() { gguf-inspect "$1" --tensors | awk -v name="$2" '$1 == name {print $5}'; }
damage() { # FILE OFFSET BYTES: a copy in damaged.gguf
    cp "$1" damaged.gguf
    printf "$3" | dd of=damaged.gguf bs=1 seek="$2" conv=notrunc 2>dd.err
}
found() { awk -v name="$1" '$1 == name {print $3, $4, $5, $6}' out; }
at=$(place plain.gguf output_norm.weight)
damage plain.gguf "$at" '\000\000\300\177\000\000\200\377'
expect 1 gguf-inspect damaged.gguf --check
check "a NaN and an infinity are counted" [ "$(found output_norm.weight)" = '1 1 0 0' ]
check "and said" says '1 tensor holds NaN or infinity'
at=$(place m.gguf blk.0.ffn_up.weight)
damage m.gguf "$at" '\000\176' # the block's d is a NaN
expect 1 gguf-inspect damaged.gguf --check
check "a block's scale makes NaNs of 256 weights" [ "$(found blk.0.ffn_up.weight)" = '256 0 0 0' ]
damage m.gguf "$at" '\000\000\000\000' # d and dmin
expect 0 gguf-inspect damaged.gguf --check
check "a scale and a block of zero" [ "$(found blk.0.ffn_up.weight)" = '0 0 1 1' ]

expect 0 gguf-inspect m.gguf --hash
check "one line a tensor" lines 38
if command -v sha256sum >sum.path; then
    sum=$(tail -c +$((at + 1)) m.gguf | head -c 73728 | sha256sum | cut -d' ' -f1)
    check "the hash is that of the bytes" prints "$sum  blk.0.ffn_up.weight"
fi

expect 0 gguf-inspect plain.gguf --tensor output_norm.weight
check "16 values" lines 16
expect 0 gguf-inspect plain.gguf --tensor output_norm.weight --values 250:256
check "6 values" lines 6
check "with their index" holds "^255$(printf '\t')[-0-9.e]*$"
expect 0 gguf-inspect m.gguf --tensor blk.0.ffn_up.weight --values 250:260
cp out want
expect 0 gguf-inspect m.gguf --tensor blk.0.ffn_up.weight --values 0:512
sed -n 251,260p out >part
check "a part is the same as the whole's" cmp -s part want
for range in 5:5 6:5 0:257 257:258 x 1 1:2:3 -1:2 99999999999999999999:2; do
    expect 2 gguf-inspect plain.gguf --tensor output_norm.weight --values=$range
done
expect 2 gguf-inspect m.gguf --tensor blk.0.ffn_upp.weight
check "near names are suggested" says 'blk.0.ffn_up.weight'
expect 2 gguf-inspect m.gguf --values 0:1

# ---- together ------------------------------------------------------------------------------------
expect 0 gguf-inspect m.gguf --tensors --metadata --plan
check "in the order of --help" \
    [ "$(sed -n '1p;23p;62p' out | cut -c1-10 | tr '\n' ' ')" = 'general.ar token_embd context    ' ]
expect 3 gguf-inspect martian.gguf --explain --tensors
check "one that fails does not keep the others" holds '^token_embd.weight'
expect 2 gguf-inspect
expect 2 gguf-inspect m.gguf --no-such-flag
expect 0 gguf-inspect --help
check "help has the flags" holds '--explain'
if [ -w /dev/full ]; then
    gguf-inspect m.gguf >/dev/full 2>err
    check "a full disk is an error" [ $? -eq 1 ]
fi
finish
