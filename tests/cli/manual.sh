# --help, the manual and the completions have every flag of every command, and the shells and man can read them.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

expect 0 gguf --man
cp out gguf.1
for shell in bash zsh fish; do
    expect 0 gguf --completions $shell
    cp out complete.$shell
    check "$shell completions" test -s complete.$shell
done
expect 2 gguf --completions tcsh
expect 2 gguf --completions
check "the shells are named" says "bash, zsh or fish"
if [ -e /dev/full ]; then
    gguf --man >/dev/full 2>err
    check "a manual that cannot be written is code 1" test $? -eq 1
fi

# plain text of the manual: without roff's escapes
sed -e 's/\\f[A-Z]//g' -e 's/\\-/-/g' -e 's/\\e/\\/g' -e 's/\\&//g' gguf.1 >plain
total=0
for command in run inspect eval tokenize bench quantize; do
    gguf-$command --help >help
    names=$(sed -n 's/^  \(-[^ ,]*\(, -[^ ,]*\)*\).*/\1/p' help | tr -d ',')
    check "gguf-$command's flags fit 80 columns" test -z "$(sed -n '/^Options:/,/^$/p' help | grep -E '.{81}' | grep -vE '^ {29}[^ ]+$')"
    check "gguf-$command has flags" test "$(echo "$names" | wc -w)" -gt 8
    section=$(sed -n "/^\.SS gguf-$command\$/,/^\.S[SH] /p" plain)
    for name in $names; do
        total=$((total + 1))
        case " $(echo "$section" | sed -n '/^\.TP/{n;p}' | tr -s ', \n' ' ')" in *" $name "*) ;; *) fail "gguf(1): $command $name" ;; esac
        case " $(sed -n "s/^    $command) flags='\(.*\)' ;;/\1/p" complete.bash) " in *" $name "*) ;; *) fail "bash: $command $name" ;; esac
        sed -n "/^_gguf_$command()/,/^}/p" complete.zsh | grep -qE -- "^ *'\\*?$name=?\\[" || fail "zsh: $command $name"
        case $name in --*) as="-l ${name#--}" ;; -?) as="-s ${name#-}" ;; *) as="-o ${name#-}" ;; esac
        grep -F "complete -c gguf-$command " complete.fish | grep -qF -- " $as " || fail "fish: $command $name"
    done
done
check "there are many ($total)" test $total -gt 150
for word in "EXIT STATUS" ENVIRONMENT FILES EXAMPLES LLAMA_ARG_THREADS GGUF_CPU; do
    check "the manual has $word" grep -qF "$word" plain
done
for code in 0 1 2 3 4 5 6 130; do check "and the exit code $code" grep -qx ".B $code" plain; done

# what reads them, where it is there
if command -v mandoc >where; then
    mandoc -T lint -W warning gguf.1 >lint
    check "mandoc has no warning but for the date: $(head -n 1 lint)" test "$(grep -cvE 'missing date' lint)" -eq 0
fi
if command -v groff >where; then
    groff -man -Tutf8 -ww gguf.1 >out 2>err
    check "groff has nothing to say" test ! -s err
fi
for shell in zsh fish; do
    command -v $shell >where || continue
    check "$shell can read its completions" $shell -n complete.$shell
done
if command -v fish >where; then
    fish --no-config -c "source complete.fish; complete -C 'gguf-run --miro'" >out 2>err
    check "fish completes a flag" prints "--mirostat-lr"
    fish --no-config -c "source complete.fish; complete -C 'gguf run -ctk '" >out 2>err
    check "fish completes a value" prints "q8_0"
fi
if command -v bash >where; then
    check "bash can read its completions" bash -n complete.bash
    answer() { # WORDS...: what bash completes the last one to
        bash -c '. ./complete.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gguf; echo "${COMPREPLY[@]}"' bash "$@"
    }
    check "of a flag" test "$(answer gguf-run --mirostat-l)" = --mirostat-lr
    check "of the program's commands" test "$(answer gguf ins)" = inspect
    check "of a command's flag" test "$(answer gguf inspect --templ)" = --template
    check "of a value" test "$(answer gguf-run -m x.gguf -fa o)" = "on off"
    check "of a cache type" test "$(answer gguf eval -ctk q)" = q8_0
    check "of a file: bash's own" test -z "$(answer gguf-run -m mod)"
    check "of a shell" test "$(answer gguf --completions z)" = zsh
fi

# they are installed
if [ -f "$build/docs/gguf.1" ]; then
    expect 0 cmake --install "$build" --prefix "$work/usr"
    check "the manual is installed" cmp usr/share/man/man1/gguf.1 gguf.1
    check "under each name" grep -q "gguf.1" usr/share/man/man1/gguf-run.1
    check "bash's completions" cmp usr/share/bash-completion/completions/gguf-eval complete.bash
    check "zsh's" cmp usr/share/zsh/site-functions/_gguf complete.zsh
    check "fish's" cmp usr/share/fish/vendor_completions.d/gguf-run.fish complete.fish
fi
finish
