# What the command-line tests share. A test sources it after `build=$1 source=$2`, then calls `expect` and `check`,
# and ends with `finish`.
set -u
PATH=$build:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
checks=0 failures=0

fail() {
    failures=$((failures + 1))
    printf 'does not hold: %s\n' "$*"
    [ ! -s err ] || sed 's/^/    stderr: /' err | head -n 5
}

# expect CODE COMMAND...: runs it with stdout in `out` and stderr in `err`.
expect() {
    want=$1
    shift
    "$@" >out 2>err </dev/null
    got=$?
    checks=$((checks + 1))
    [ "$got" -eq "$want" ] || fail "exit code $got, not $want: $*"
}

# check TEXT CONDITION...: a condition of `test`, or a command.
check() {
    what=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$what"
}

says() { grep -qF -- "$1" err; }   # stderr holds a text
prints() { grep -qF -- "$1" out; } # stdout does

finish() {
    echo "$checks checks, $failures failed"
    [ "$checks" -gt 0 ] && [ "$failures" -eq 0 ]
    exit
}
