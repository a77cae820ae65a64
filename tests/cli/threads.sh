# How many threads a run has by itself: not more than the cores it may use, nor than its control group's quota.
build=$1 source=$2
. "$source/tests/cli/lib.sh"

make-model --preset tiny m.gguf || exit 1
run="gguf-run -m m.gguf -p a -n 1 -v"

expect 0 $run
check "at most the processors that there are" test "$(sed -n 's/.* \([0-9]*\) threads.*/\1/p' err)" -le "$(nproc)"
expect 0 $run -t 3
check "as many as asked for" says " 3 threads"
if taskset -c 0 true 2>/dev/null; then
    expect 0 taskset -c 0 $run
    check "one core, one thread" says " 1 threads"
else
    echo "not checked: taskset -c 0 does not work here"
fi

# quota PROCS_FILE COUNT: a group that stands there limits to COUNT
in_group() {
    expect 0 sh -c 'echo $$ >"$1" || exit 99; shift; exec "$@"' sh "$1" $run
    check "a quota of $2" says " $2 threads"
}
name=gguf-test-$$ checked=0
v1=/sys/fs/cgroup/cpu/$name v2=/sys/fs/cgroup/$name
if [ -e /sys/fs/cgroup/cpu/cpu.cfs_quota_us ] && mkdir "$v1" "$v1/inner" 2>/dev/null; then
    if echo 150000 >"$v1/cpu.cfs_quota_us" 2>/dev/null; then
        in_group "$v1/inner/cgroup.procs" 1
        checked=1
    fi
    rmdir "$v1/inner" "$v1"
elif [ -e /sys/fs/cgroup/cgroup.procs ] && mkdir "$v2" 2>/dev/null; then
    if echo "150000 100000" 2>/dev/null >"$v2/cpu.max" && sh -c 'echo $$ >"$1"' sh "$v2/cgroup.procs" 2>/dev/null; then
        in_group "$v2/cgroup.procs" 1
        checked=1
    fi
    rmdir "$v2"
fi
[ $checked -eq 1 ] || echo "not checked: no control group with a quota can be made here"
finish
