# Every architecture that a refusal lists can be made and run, gives the same bits whatever the batch and the threads, and
# is in the README; what gguf-inspect says of kinds of layers and of the cache.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --preset tiny --set general.architecture=string:martian martian.gguf || exit 1
expect 3 gguf-run -m martian.gguf -p x
check "an unknown architecture is named" says "the architecture martian is not supported; this program runs llama, "
expect 3 gguf-inspect --explain martian.gguf
check "so it is by --explain" prints "The architecture martian is not supported"
names=$(sed -n 's/.*this program runs \(.*\)\.$/\1/p' out | tr -d ,)
check "there are many" test "$(echo "$names" | wc -w)" -gt 40

ids=1,3,5,7,9,11,13,15,17,19,21,23
for name in $names; do
    check "the README lists $name" grep -qF "\`$name\`" "$source/README.md"
    make-model --arch "$name" --embd 64 --ff 32 --layers 4 --heads 4 --kv-heads 2 --ctx 64 --vocab 300 --type F16 m.gguf ||
        fail "make-model --arch $name"
    expect 0 gguf-eval -m m.gguf --ids $ids --logits a.f32
    expect 0 gguf-eval -m m.gguf --ids $ids --logits b.f32 -ub 5 -t 2
    check "$name: the same bits in chunks of five" cmp a.f32 b.f32
    expect 0 gguf-inspect --explain m.gguf
    check "$name: --explain agrees" prints "This file can be run here: a $name model"
done

make-model --arch gpt-oss --embd 64 --ff 32 --layers 4 --heads 4 --vocab 300 --ctx 8192 windows.gguf
expect 0 gguf-inspect windows.gguf
check "layers with a window" prints '  layers with a window: 0 2'
expect 0 gguf-inspect --plan -c 8192 windows.gguf
# two layers of 8192 positions and two of 768 (8 and a step of 512, in chunks of 256), 2 x 4 heads x 16 values of 2 bytes
check "windows keep no more than themselves and a step" prints "($((2 * (8192 + 768) * 2 * 4 * 16 * 2)) bytes)"

mixtral="--embd 64 --ff 32 --layers 2 --heads 4 --vocab 300 --key expert_count=u32:4 --key expert_used_count=u32:2"
make-model $mixtral whole.gguf
make-model $mixtral --split-experts split.gguf
expect 0 gguf-inspect --explain split.gguf
check "a tensor for each expert, as in files of 2023" prints 'This file can be run here: a llama model'
expect 0 gguf-eval -m split.gguf --ids $ids --logits a.f32
make-model $mixtral --split-experts --drop-tensor blk.1.ffn_down.2.weight lost.gguf
expect 3 gguf-run -m lost.gguf -p x
check "an expert that is missing is named" says 'the tensor blk.1.ffn_down.2.weight is missing'

# converters write the key as true for every StableLM; only the tensors tell
stablelm="--arch stablelm --embd 64 --ff 32 --layers 2 --heads 4 --vocab 300"
make-model $stablelm plain.gguf
make-model $stablelm --set stablelm.use_parallel_residual=bool:1 claims.gguf
expect 0 gguf-eval -m plain.gguf --ids $ids --logits a.f32
expect 0 gguf-eval -m claims.gguf --ids $ids --logits b.f32
check "a StableLM with two norms is not parallel, whatever its key says" cmp a.f32 b.f32

# as Qwen's first mixtures were converted: 64 = two experts of 32, and the shared one
qwen="--arch qwen2moe --embd 64 --ff 64 --layers 2 --heads 4 --vocab 300 --key expert_feed_forward_length=u32:32 --key expert_shared_feed_forward_length=u32:64"
make-model $qwen named.gguf
make-model $qwen --drop qwen2moe.expert_feed_forward_length --drop qwen2moe.expert_shared_feed_forward_length old.gguf
expect 0 gguf-eval -m named.gguf --ids $ids --logits a.f32
expect 0 gguf-eval -m old.gguf --ids $ids --logits b.f32
check "experts' sizes of a file that does not name them" cmp a.f32 b.f32

finish
