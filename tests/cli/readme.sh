# The README's own program is compiled and run, and its commands are the ones that CI runs.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

awk '/^```c$/ {on = 1; next} /^```/ {on = 0} on' "$source/README.md" >hello.c
check "the README has a program" test -s hello.c
expect 0 "${CC:-cc}" -Wall -Wextra -Werror -o hello hello.c -I"$source/include" "$build/libgguf.a" $(cat "$build/link-flags") -lm -lpthread
make-model --arch llama --preset tiny --type Q8_0 --seed 3 m.gguf || exit 1
expect 0 ./hello m.gguf "Once upon a time"
check "it prints text" test -s out
cp out first
expect 0 ./hello m.gguf "Once upon a time"
check "the same on every run" cmp out first
expect 3 ./hello missing.gguf "Once upon a time"
check "and its error" says "missing.gguf"

check "CI runs the README's test command" grep -qF "$(sed -n 's/^test_command="\(.*\)"$/\1/p' "$source/.ci/run")" "$source/README.md"
finish
