"""Chats with gguf-run through a pseudo-terminal: chat.py BUILD SOURCE."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

build, source = sys.argv[1:3]
model = os.path.join(source, "models/tales-5m-q8_0.gguf")
work = tempfile.mkdtemp()
os.chdir(work)
state = os.path.join(work, "state")
checks = failures = 0
READY = b"\x1b[?2004h"  # the editor waits for keys
PATIENCE = 120


def check(what, condition):
    global checks, failures
    checks += 1
    if not condition:
        failures += 1
        print("does not hold:", what)


class Chat:
    """A gguf-run on a terminal of its own; `seen` is what it has shown since the last message."""

    def __init__(self, *args, columns=80, rows=24, **env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.fd = 0
            self.resize(columns, rows)
            os.environ.update({"TERM": "xterm", "XDG_STATE_HOME": state, **env})
            os.execv(os.path.join(build, "gguf-run"), ["gguf-run", "-m", model, *args])
        self.seen = b""

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """Reads what is there; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            more = os.read(self.fd, 65536)
        except OSError:  # Linux: the other end is closed
            return False
        self.seen += more
        return more != b""

    def wait(self, text, since=0):
        """Until the text has been shown; whether it was."""
        end = time.time() + PATIENCE
        while self.seen.find(text, since) < 0:
            if time.time() > end or not self.read(1):
                print("it never showed", text, "but", self.seen[-300:])
                return False
        return True

    def ready(self):
        return self.wait(READY)

    def type(self, keys):
        self.seen = b""
        os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)

    def say(self, text):
        """A whole message; back when the next one may be typed. Returns the words that were shown, without controls."""
        self.type(text + "\r")
        self.wait(READY)
        return self.shown()

    def shown(self):
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\r", b"", self.seen).decode(errors="replace")

    def flags(self):
        return termios.tcgetattr(self.fd)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)

    def end(self):
        """Its exit code, or minus the signal's number."""
        end = time.time() + PATIENCE
        while time.time() < end and self.read(0.05):
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def saved(chat, name):
    chat.say(f"/save {name}")
    with open(name, encoding="utf-8") as f:
        return json.load(f)


def test_conversation():
    chat = Chat("--seed", "1", "-n", "40")
    check("it greets", chat.ready() and "Tales 5M" in chat.shown() and "/help" in chat.shown())
    chat.say("What is 17 + 25?")
    chat.say("")
    chat.say("   ")
    chat.say("Tell me a story about a puppy.")
    first = saved(chat, "first.json")
    check("two turns", [m["role"] for m in first] == ["user", "assistant"] * 2)
    check("the messages", first[0]["content"] == "What is 17 + 25?" and first[2]["content"] == "Tell me a story about a puppy.")
    check("the answers", all(first[i]["content"].strip() for i in (1, 3)))
    row = re.search(r"last answer +(\d+) +(\d+)", chat.say("/stats"))
    check("the cache is used again", row and int(row[1]) > 10 and int(row[2]) < 40)
    chat.say("/regen")
    second = saved(chat, "second.json")
    check("another answer to the same", second[:3] == first[:3] and len(second) == 4 and second[3] != first[3])
    check("/clear", "new conversation" in chat.say("/clear"))
    check("it is empty", saved(chat, "third.json") == [])
    check("nothing to answer again", "nothing yet" in chat.say("/regen"))
    check("/load", "4 messages read" in chat.say("/load first.json"))
    check("/load and /save lose nothing", saved(chat, "fourth.json") == first)
    chat.say("/system You are Tales.")
    check("/system is shown", "You are Tales." in chat.say("/system"))
    check("the system message comes first", saved(chat, "fifth.json")[0] == {"role": "system", "content": "You are Tales."})
    chat.say("/clear")
    check("and stays", len(saved(chat, "sixth.json")) == 1)
    check("/help lists the commands", all(f"/{w} " in chat.say("/help") for w in ("regen", "save", "exit")))
    check("an unknown command is named", "no command /nothing" in chat.say("/nothing at all"))
    check("an argument too many", "takes nothing" in chat.say("/clear everything"))
    check("a missing one", "needs the name" in chat.say("/save"))
    check("a file that is not there", "No such file" in chat.say("/load missing.json"))
    with open("bad.json", "w", encoding="utf-8") as f:
        f.write('[{"role": "user", "content": 5}]')
    check("a file that is no chat", "message 1" in chat.say("/load bad.json"))
    check("and changes nothing", len(saved(chat, "seventh.json")) == 1)
    check("a path is no command", "no command" not in chat.say("/usr/bin is a folder"))
    chat.say(" /help me, please")
    check("a space makes it a message", saved(chat, "eighth.json")[3]["content"] == "/help me, please")
    chat.type("/exit\r")
    check("/exit is code 0", chat.end() == 0)


def test_thinking():
    for flags, dimmed in ((), True), ((("NO_COLOR", "1"),), False):
        chat = Chat("--seed", "1", "--chat-template-kwargs", '{"enable_thinking": true}', **dict(flags))
        chat.ready()
        shown = chat.say("What is 82 - 38?")
        check("thoughts are dimmed", (b"\x1b[2m" in chat.seen) == dimmed)
        check("their marks are not shown", "think>" not in shown)
        answer = saved(chat, "thinking.json")[1]
        check("thoughts are kept apart", answer["reasoning_content"].strip() and "think>" not in answer["content"])
        check("and shown before what is said", shown.find(answer["reasoning_content"][:10]) < shown.find(answer["content"]))
        check("and counted", int(re.search(r"last answer +.*?(\d+) +[\d.]+\n", chat.say("/stats"))[1]) > 5)
        chat.type("/exit\r")
        chat.end()


def test_a_resize_as_the_prompt_appears_is_seen():
    """Not only with the next key: the signal came between a look at it and the wait."""
    chat = Chat("-n", "1")
    chat.ready()
    seen = 0
    for i in range(1000):
        chat.type("\r")
        if not chat.ready():
            break
        chat.seen = b""
        chat.resize(40 + i % 2, 10)
        if not chat.ready():
            break
        seen += 1
    check("all resizes are seen", seen == 1000)
    chat.type("\x04")
    chat.end()


def test_keys():
    chat = Chat("--seed", "1", "-n", "2", columns=40)
    chat.ready()
    chat.say("first\x1b\rsecond\x01my \x05!")
    chat.say("\x1b[200~one\rtwo\x1b[31m\x03\x1b[201~")
    chat.say("\x1b[A\x1b[A\x1b[A\x15again")
    chat.say("abc\x03日本\x7f語")
    talk = [m["content"] for m in saved(chat, "keys.json") if m["role"] == "user"]
    check("several lines", talk[0] == "first\nmy second!")
    check("a paste", talk[1] == "one\ntwo")
    check("history", talk[2] == "first\nagain")
    check("Ctrl-C clears, wide characters", talk[3] == "日語")
    chat.seen = b""
    chat.resize(20, 10)
    check("a resize draws again", chat.ready())
    chat.type("after a resize\r")
    check("it goes on after a resize", chat.ready())
    chat.type("\x03")
    check("Ctrl-C says how to end", chat.wait(b"Ctrl-D"))
    chat.type("\x03")
    check("Ctrl-C twice ends it", chat.end() == 0)
    with open(os.path.join(state, "gguf/history"), encoding="utf-8") as f:
        lines = f.read().split("\n")
    check("the history is kept", "first\\nmy second!" in lines and "日語" in lines and "abc" not in lines)
    check("for its owner alone", os.stat(os.path.join(state, "gguf/history")).st_mode & 0o777 == 0o600)
    chat = Chat("-n", "2")
    chat.ready()
    chat.type("\x12日\r")
    chat.ready()
    check("and found the next time", saved(chat, "found.json")[0]["content"] == "日語")
    chat.type("\x04")
    check("Ctrl-D ends it", chat.end() == 0)


def test_interrupt():
    chat = Chat("--seed", "1", "--ignore-eos", "-c", "100000")
    chat.ready()
    before = chat.flags()
    chat.type("Tell me a story.\r")
    chat.wait(b"\n")
    time.sleep(0.5)
    chat.read(1)
    check("keys are not shown meanwhile", not chat.flags() & termios.ECHO and chat.flags() & termios.ISIG)
    os.write(chat.fd, b"\x03")
    check("Ctrl-C stops an answer", chat.wait(b"(stopped)") and chat.ready())
    check("and keeps what came", len(saved(chat, "cut.json")) == 2)
    check("the chat goes on", wait_for(lambda: chat.flags() == before))
    chat.type("/exit\r")
    check("and ends with code 0", chat.end() == 0)

    chat = Chat("--ignore-eos", "-c", "100000")
    usual = chat.flags()
    chat.ready()
    chat.type("Tell me a story.\r")
    time.sleep(0.5)
    os.write(chat.fd, b"\x1c")
    check("Ctrl-\\ leaves the terminal as it was", wait_for(lambda: chat.flags() == usual))
    check("and ends it at once", chat.end() == -signal.SIGQUIT)


def wait_for(condition):
    end = time.time() + PATIENCE
    while not condition() and time.time() < end:
        time.sleep(0.05)
    return condition()


def test_signals():
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV):
        chat = Chat()
        usual = chat.flags()
        chat.ready()
        check("keys come one by one", chat.flags() != usual)
        os.kill(chat.pid, sig)
        check(f"{sig} leaves the terminal as it was", wait_for(lambda: chat.flags() == usual))
        code = chat.end()
        check(f"{sig} ends it ({code})", code == -sig or (sig == signal.SIGSEGV and code != 0))


def test_limits():
    chat = Chat("--seed", "1", "--ignore-eos", "-c", "64")
    chat.ready()
    check("a full context is said", "context of 64 positions is full" in chat.say("Once upon a time"))
    check("and no more fits", "do not fit" in chat.say("And then? " * 30))
    check("the message is taken back", len(saved(chat, "full.json")) == 2)
    chat.say("/clear")
    check("/clear makes room", "positions is full" in chat.say("Once upon a time"))
    chat.type("\x04")
    check("code 0", chat.end() == 0)

    chat = Chat("--seed", "1", "--context-shift", "-c", "100", "-n", "20")
    chat.ready()
    shown = "".join(chat.say(f"Tell me of number {i}.") for i in range(8))
    check("--context-shift leaves out turns", "no longer sees" in shown and "do not fit" not in shown)
    check("but the chat keeps them", len(saved(chat, "shifted.json")) == 16)
    chat.type("\x04")
    chat.end()

    for keep, holds in (("0", lambda n: n < 10), ("-1", lambda n: n >= 15)):
        chat = Chat("--seed", "1", "--context-shift", "--keep", keep, "-c", "120", "-n", "20")
        chat.ready()
        shown = ""
        for i in range(12):
            shown = chat.say(f"Tell me of number {i}, please.")
            if "no longer sees" in shown:
                break
        cached = int(re.search(r"last answer +(\d+)", chat.say("/stats"))[1])
        check(f"--keep {keep} keeps that much ({cached})", "no longer sees" in shown and holds(cached))
        chat.type("\x04")
        chat.end()

    chat = Chat("-c", "1")
    chat.ready()
    check("a context of 1", "do not fit" in chat.say("Hello there"))
    chat.type("\x1b[200~" + "a long paste\r" * 2000 + "\x1b[201~\r")
    check("a long paste is refused in a sentence", chat.wait(b"do not fit") and chat.ready())
    chat.type("\x04")
    check("code 0 then too", chat.end() == 0)

    chat = Chat("--timeout", "1.5")
    check("--timeout ends a chat", chat.end() == 6)
    chat = Chat("-st", "-n", "3")
    chat.ready()
    chat.type("Hello\r")
    check("-st ends after an answer", chat.end() == 0)


def test_plain():
    chat = Chat("-n", "3", TERM="dumb")
    check("a dumb terminal has a prompt", chat.wait(b"> "))
    chat.type("Hello \\\nthere\n")
    check("and answers", chat.wait(b"> ", since=20))
    chat.type("/save plain.json\n")
    check("and saves", chat.wait(b"written"))
    with open("plain.json", encoding="utf-8") as f:
        check("lines are joined", json.load(f)[0]["content"] == "Hello \nthere")
    check("without control sequences", b"\x1b" not in chat.seen)
    chat.type("\x04")
    check("code 0", chat.end() == 0)
    chat = Chat(NO_COLOR="1")
    chat.ready()
    chat.type("hello")
    chat.wait(b"hello")
    check("NO_COLOR is kept", not re.search(rb"\x1b\[[0-9;]*m", chat.seen))
    chat.type("\x03\x03\x03")
    chat.end()
    chat = Chat("--simple-io", "-n", "3")
    check("--simple-io asks for lines", chat.wait(b"> "))
    chat.type("Hello\n")
    check("and answers them", chat.wait(b"> ", since=7))
    check("without control sequences, too", b"\x1b" not in chat.seen)
    chat.type("\x04")
    check("code 0 of it", chat.end() == 0)
    # with a prompt, or without a terminal, it is no chat
    done = subprocess.run([os.path.join(build, "gguf-run"), "-m", model, "-n", "3"], input=b"Hello", capture_output=True,
                          check=False)
    check("piped text is no chat", done.returncode == 0 and b"/help" not in done.stderr)


def test_conversation_flag():
    def piped(text, *args):
        return subprocess.run([os.path.join(build, "gguf-run"), "-m", model, "--temp", "0", *args], input=text,
                              capture_output=True, text=True, check=False)

    one, two = "What is 17 + 25?", "Now add 9 more."
    done = piped(f"{one}\n{two}\n", "-cnv")
    first, _, second = done.stdout.partition("\n")
    check("-cnv: each line of a pipe is a message", done.returncode == 0 and "42" in first and second.strip())
    check("and the answers alone come out", done.stderr == "")
    check("-p is the first", piped(two + "\n", "-cnv", "-p", one).stdout == done.stdout)
    check("-st ends it there", piped(two + "\n", "-cnv", "-st", "-p", one).stdout.strip() == first.strip())
    check("the last of -cnv and -no-cnv counts", piped(one, "-cnv", "-no-cnv").stdout != piped(one, "-cnv").stdout)
    failed = piped("And then? " * 100 + f"\n{two}\n", "-cnv", "-c", "64")
    check("a message that does not fit ends a piped chat", failed.returncode == 4 and failed.stdout == "")

    chat = Chat("-cnv", "-n", "5", "-p", "/help is a word")
    check("-cnv -p answers before it asks", chat.ready())
    check("and keeps the message", saved(chat, "first_message.json")[0]["content"] == "/help is a word")
    chat.type("\x04")
    check("code 0 of -cnv", chat.end() == 0)


test_conversation()
test_thinking()
test_a_resize_as_the_prompt_appears_is_seen()
test_keys()
test_interrupt()
test_signals()
test_limits()
test_plain()
test_conversation_flag()
subprocess.run(["rm", "-rf", work], check=False)
print(f"{checks} checks, {failures} failed")
sys.exit(failures > 0 or checks == 0)
