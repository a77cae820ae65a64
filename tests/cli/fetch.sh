# scripts/fetch-model against a hub on loopback: choice of the file, redirects, resuming, checksums, errors.
build=$1 source=$2
for tool in python3 curl; do
    command -v $tool >/dev/null || { echo "skipped: $tool is not here"; exit 77; }
done
. "$source/tests/cli/lib.sh"

unset HF_TOKEN
fetch=$source/scripts/fetch-model
mkdir -p hub/open hub/gated/one
# repo NAME FILE...: a repository of files with different contents
repo() {
    name=$1
    shift
    for file in "$@"; do
        mkdir -p "$(dirname "hub/$name/$file")"
        head -c 100000 /dev/urandom >"hub/$name/$file"
    done
}
repo open/quants a-Q2_K.gguf a-Q4_K_M.gguf a-Q4_K_S.gguf a-Q8_0.gguf mmproj-a-Q4_K_M.gguf README.md
repo open/eight b.Q8_0.gguf b.F16.gguf
repo open/only some-model.gguf config.json
repo open/doubt x-IQ1_S.gguf x-IQ2_M.gguf
repo open/variants y-Q4_K_M.gguf y-UD-Q4_K_M.gguf
repo open/split Q4_K_M/z-Q4_K_M-00001-of-00003.gguf Q4_K_M/z-Q4_K_M-00002-of-00003.gguf Q4_K_M/z-Q4_K_M-00003-of-00003.gguf
repo open/hole h-Q4_K_M-00001-of-00002.gguf
repo open/none README.md
repo open/spaces "a model + more #1.gguf"
for odd in broken no-ranges damaged no-sum huge short; do repo open/$odd m-Q4_K_M.gguf; done
repo gated/one g-Q4_K_M.gguf

mkfifo hold
python3 "$source/tests/cli/hub_server.py" hub <hold >port &
exec 9>hold # the server ends with this test
i=0
while [ ! -s port ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
check "the hub runs" test -s port
HF_ENDPOINT=http://127.0.0.1:$(cat port)/
export HF_ENDPOINT

# got SPEC FILE [FLAGS]: fetches and compares
got() {
    expect 0 "$fetch" -o models "$1"
    check "$1 prints the path" test "$(cat out)" = "models/${2##*/}"
    check "$1 is whole" cmp "hub/${1%%:*}/$2" "models/${2##*/}"
    check "$1 leaves no part" test ! -e "models/${2##*/}.part"
}

got open/quants a-Q4_K_M.gguf
check "nothing on stderr without a terminal" test ! -s err
got open/quants:q2_k a-Q2_K.gguf
got open/quants:Q4_K_S a-Q4_K_S.gguf
got open/quants:mmproj-a-Q4_K_M.gguf mmproj-a-Q4_K_M.gguf
got open/eight b.Q8_0.gguf
got open/eight:F16 b.F16.gguf
got open/only some-model.gguf
expect 0 "$fetch" -o models https://hub.example/open/quants/blob/main/a-Q8_0.gguf
check "the address of a file" cmp hub/open/quants/a-Q8_0.gguf models/a-Q8_0.gguf
for page in open/eight open/eight/ open/eight/tree/main "open/eight?library=gguf"; do
    rm -f models/*
    expect 0 "$fetch" -o models "https://hub.example/$page"
    check "the address $page" cmp hub/open/eight/b.Q8_0.gguf models/b.Q8_0.gguf
done
got open/spaces "a model + more #1.gguf"
got open/variants:UD-Q4_K_M y-UD-Q4_K_M.gguf
got open/variants:y-Q4_K_M y-Q4_K_M.gguf
got open/no-sum m-Q4_K_M.gguf
rm -rf models
got open/no-ranges m-Q4_K_M.gguf

expect 0 "$fetch" -o models open/split
check "the first shard's path" test "$(cat out)" = models/z-Q4_K_M-00001-of-00003.gguf
for i in 1 2 3; do check "shard $i" cmp hub/open/split/Q4_K_M/z-Q4_K_M-0000$i-of-00003.gguf models/z-Q4_K_M-0000$i-of-00003.gguf; done
: >hub/log
expect 0 "$fetch" -o models open/split
check "what is there is kept" test "$(grep -c '^storage' hub/log)" -eq 0
expect 3 "$fetch" -o models open/hole
check "missing shards are counted" says "only 1 of the model's 2 shards"

# what broke off goes on
rm -rf models
: >hub/log
got open/broken m-Q4_K_M.gguf
check "it went on where it ended" grep -q "bytes=90000-" hub/log
rm -rf models
mkdir models
head -c 40000 hub/open/only/some-model.gguf >models/some-model.gguf.part
: >hub/log
got open/only some-model.gguf
check "from the part of an earlier run" grep -q "bytes=40000-" hub/log
cp hub/open/only/some-model.gguf models/some-model.gguf.part
rm models/some-model.gguf
got open/only some-model.gguf
head -c 40000 hub/open/no-ranges/m-Q4_K_M.gguf >models/m-Q4_K_M.gguf.part
got open/no-ranges m-Q4_K_M.gguf
rm -f models/*
head -c 200000 /dev/zero >models/some-model.gguf.part
got open/only some-model.gguf

# what cannot be had
rm -f models/*
expect 1 "$fetch" -o models open/damaged
check "a wrong checksum is said" says "sha256"
check "and nothing of it stays" test -z "$(ls models)"
expect 1 "$fetch" -o models open/short
check "a wrong size is said" says "100000 bytes came, not 100001"
expect 1 "$fetch" -o models open/huge
check "a disk too small is said before" says "MiB left"
check "and nothing was fetched" test -z "$(ls models)"
(trap '' XFSZ; ulimit -f 40; "$fetch" -o models open/quants >out 2>err)
check "a failed write is code 1" test $? -eq 1
check "and is said" says "cannot write"
check "its part stays" test -s models/a-Q4_K_M.gguf.part
expect 2 "$fetch" -o models open/doubt
check "a doubt is listed" says "x-IQ2_M.gguf"
expect 2 "$fetch" -o models open/quants:Q3_K
check "what there is is listed" says "a-Q8_0.gguf"
expect 2 "$fetch" -o models open/variants
expect 3 "$fetch" -o models open/none
expect 3 "$fetch" -o models open/missing
check "404 is said" says "not found (404)"
expect 3 "$fetch" -o models gated/one
check "403 is said with the way out" says "HF_TOKEN"
HF_TOKEN=bad "$fetch" -o models gated/one >out 2>err
check "401 is code 3" test $? -eq 3
check "401 is said" says "not accepted (401)"
: >hub/log
HF_TOKEN=good "$fetch" -o models gated/one >out 2>err
check "a token opens it" cmp hub/gated/one/g-Q4_K_M.gguf models/g-Q4_K_M.gguf
check "the storage does not see the token" test "$(grep -c '^storage.*good' hub/log)" -eq 0
HF_ENDPOINT=http://127.0.0.1:1 "$fetch" open/quants >out 2>err
check "no hub is code 1" test $? -eq 1
check "no hub is said" says "cannot connect"
HF_ENDPOINT=http://no-such-name.invalid "$fetch" open/quants >out 2>err
check "no network is code 1" test $? -eq 1
check "no network is said" says "cannot be resolved"

# usage
expect 0 "$fetch" --help
check "--help goes to stdout" prints "Usage: fetch-model"
for wrong in "" "name" "../../etc" "a/b extra" "-x a/b" "a/b:c/d" "-o" "https://hub.example/a" "https://hub.example/a/b/c"; do
    # shellcheck disable=SC2086
    expect 2 "$fetch" $wrong
done
finish
