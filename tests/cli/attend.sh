# Attention over more than one chunk of the cache: threads that share it, tokens that share a step, tiers and cache types.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --embd 128 --ff 128 --layers 2 --heads 4 --kv-heads 2 --ctx 1024 --vocab 300 --vocab-kind none --type Q8_0 \
    --seed 9 m.gguf || exit 1
ids=$(awk 'BEGIN { for (i = 0; i < 700; i++) { x = (x * 31 + 17) % 297; printf "%s%d", i ? "," : "", x } }')

for cache in f16 f32 bf16 q8_0; do
    flags="-m m.gguf --ids $ids -ctk $cache -ctv $cache"
    expect 0 gguf-eval $flags --logits one.f32 -t 1
    for way in "-t 3" "-t 2 -ub 100" "-t 3 -ub 5"; do
        expect 0 gguf-eval $flags --logits other.f32 $way
        check "the same bits with $way and a cache of $cache" cmp one.f32 other.f32
    done
done
# a token at a time, as when text is made: threads share the chunks
expect 0 gguf-eval -m m.gguf --ids "$ids" --logits one.f32 -t 1
expect 0 gguf-eval -m m.gguf --ids "$ids" --logits other.f32 -t 3 -ub 1
check "the same bits token by token on three threads" cmp one.f32 other.f32
for tier in scalar avx2 neon; do
    GGUF_CPU=$tier gguf-eval -m m.gguf --ids "$ids" --logits other.f32 2>err || continue
    check "the same bits on $tier" cmp one.f32 other.f32
done
expect 0 gguf-eval -m m.gguf --ids "$ids" --logits other.f32 -ctk q8_0 -ctv f16 -t 2
expect 0 gguf-eval -m m.gguf --ids "$ids" --logits one.f32 -ctk q8_0 -ctv f16 -t 1 -ub 64
check "keys and values of two types" cmp one.f32 other.f32
finish
