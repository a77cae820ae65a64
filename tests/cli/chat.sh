# The chat on a terminal: tests/cli/chat.py holds the terminal's other end.
build=$1 source=$2
command -v python3 >/dev/null || { echo "skipped: python3 is not here"; exit 77; }
python3 -c 'import pty, termios' 2>/dev/null || { echo "skipped: python3 has no pty"; exit 77; }
exec python3 "$source/tests/cli/chat.py" "$build" "$source"
