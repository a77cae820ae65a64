# The model in models/ tells the same story everywhere: on every tier, with any number of threads, from both files' ways
# in. The text is in tests/golden/story.txt.
build=$1 source=$2
. "$source/tests/cli/lib.sh"
model=$source/models/tales-5m-q4_k_m.gguf
story=$source/tests/golden/story.txt

tell() { expect 0 gguf-run -m "$model" --raw -p "Once upon a time" --seed 1 -n 120 "$@"; }

for flags in "" "-t 1" "-t 3" "-ub 1" "--no-mmap"; do
    # shellcheck disable=SC2086
    tell $flags
    check "the story with '$flags'" cmp out "$story"
done
for tier in scalar avx2 avxvnni avx512 amx neon; do
    GGUF_CPU=$tier gguf-run --raw -m "$model" -p "Once upon a time" --seed 1 -n 120 >out 2>err </dev/null
    [ $? -eq 2 ] || check "the story on $tier" cmp out "$story"
done
finish
