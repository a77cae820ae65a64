"""Questions and answers, arithmetic and word games.

Each maker returns a chat: a list of turns (user, thinking, answer). A question whose checksum
says so is held out: it never appears in the corpus, so that one can test with it.
"""
import zlib

import words as W
from stories import make_story
from world import choose, render, tidy


def held_out(question):
    return zlib.crc32(question.encode()) % 50 == 7


def held_out_sum(a, b):
    """Pairs of numbers that never meet in the corpus."""
    return (min(a, b) * 31 + max(a, b) * 17) % 10 == 2


def ask(rng, text, **slots):
    return render(rng, text, slots)


# ---- arithmetic

def numbers(rng, subtract=False):
    while True:
        top = 12 if rng.random() < 0.25 else 99
        a, b = rng.randint(0, top), rng.randint(0, top)
        if subtract and a < b:
            a, b = b, a
        if not held_out_sum(a, b):
            return a, b


def work_add(a, b):
    """The working on paper, ones first."""
    if a < 10 and b < 10:
        return "%d + %d = %d." % (a, b, a + b)
    ones = a % 10 + b % 10
    text = "Ones: %d + %d = %d" % (a % 10, b % 10, ones)
    tens = "%d + %d" % (a // 10, b // 10)
    if ones >= 10:
        text += ", write %d, carry 1. Tens: %s + 1" % (ones % 10, tens)
    else:
        text += ". Tens: " + tens
    return text + " = %d. So %d + %d = %d." % (a // 10 + b // 10 + (ones >= 10), a, b, a + b)


def work_sub(a, b):
    if a < 10:
        return "%d - %d = %d." % (a, b, a - b)
    borrow = a % 10 < b % 10
    ones = a % 10 + 10 * borrow
    text = "Ones: %d - %d = %d" % (ones, b % 10, ones - b % 10)
    text += ", borrow 1. " if borrow else ". "
    tens = "%d - %d%s" % (a // 10, b // 10, " - 1" if borrow else "")
    return text + "Tens: %s = %d. So %d - %d = %d." % (tens, a // 10 - b // 10 - borrow, a, b, a - b)


def solve(rng, a, b, op):
    c = a + b if op == "+" else a - b
    return (work_add if op == "+" else work_sub)(a, b), "%d %s %d = %d." % (a, op, b, c), c


def sum_task(rng):
    op = rng.choice("+-")
    a, b = numbers(rng, op == "-")
    think, answer, c = solve(rng, a, b, op)
    word = "plus" if op == "+" else "minus"
    q = ask(rng, "[What is|What is|What is|How much is|Calculate|Please work out|] {a} [{op}|{op}|{op}|{word}] {b}", a=a, b=b, op=op, word=word)
    q += "." if q[0] in "CP" else "?"
    turns = [(q, think, answer)]
    if rng.random() < 0.3:
        op = "+" if c < 50 else "-"
        d = rng.randint(1, min(20, c) if op == "-" else 20)
        think, answer, _ = solve(rng, c, d, op)
        if not held_out_sum(c, d):
            verb = "add" if op == "+" else "take away"
            turns.append((ask(rng, "[Now {v} {d}.|And if you {v} {d}?|Then {v} {d}.]", v=verb, d=d), think, answer))
    return turns


def word_problem(rng):
    op = rng.choice("+-")
    a, b = numbers(rng, op == "-")
    while min(a, b) < 2 or (op == "-" and a == b):
        a, b = numbers(rng, op == "-")
    name, other = rng.sample(W.GIRLS + W.BOYS, 2)
    he = "she" if name in W.GIRLS else "he"
    one, many = rng.choice(W.COUNTABLE + [f[0::2] for f in W.FOODS])
    plus = "{n} has {a} {m}. {o} gives {him} {b} more.|{n} found {a} {m}, and then {he} found {b} more.|{n} has {a} {m} and buys {b} more."
    minus = "{n} has {a} {m}. {He} gives {b} to {o}.|{n} had {a} {m} and lost {b} of them.|{n} has {a} {m}, but {o} takes {b} of them."
    q = ask(rng, "[%s] How many {m} does {n} have now?" % (plus if op == "+" else minus), n=name, o=other, a=a, b=b, m=many,
            he=he, He=he.capitalize(), him="her" if he == "she" else "him")
    think, _, c = solve(rng, a, b, op)
    return [(q, think, "%d %s %d = %d. %s has %d %s." % (a, op, b, c, name, c, one if c == 1 else many))]


def times_task(rng):
    a, b = rng.randint(1, 10), rng.randint(1, 10)
    q = ask(rng, "[What is|How much is] {a} [times|x] {b}?", a=a, b=b)
    return [(q, "This is from the table of %d." % b, "%d x %d = %d." % (a, b, a * b))]


def compare_task(rng):
    a, b = rng.sample(range(1, 100), 2)
    big = rng.random() < 0.5
    q = ask(rng, "Which [number |]is {w}, {a} or {b}?", w="bigger" if big else "smaller", a=a, b=b)
    c = max(a, b) if big else min(a, b)
    return [(q, "%d is more than %d." % (max(a, b), min(a, b)), "%d is %s than %d." % (c, "bigger" if big else "smaller", a + b - c))]


def neighbor_task(rng):
    n, up = rng.randint(1, 99), rng.random() < 0.5
    q = ask(rng, "[What|Which] number comes {w} {n}?", w="after" if up else "before", n=n)
    return [(q, "I count by one.", "%d comes %s %d." % (n + 1 if up else n - 1, "after" if up else "before", n))]


def counting_task(rng):
    a, step = rng.randint(0, 30), rng.choice([1, 1, 2, 5, 10])
    seq = [a + i * step for i in range(6)]
    q = ask(rng, "[Count from {a} to {b} by {s}.|Count by {s}, from {a} to {b}.]", a=a, b=seq[-1], s=W.NUMBERS[step] if step < 11 else step)
    return [(q, "Each number is %d more." % step, ", ".join(map(str, seq)) + ".")]


# ---- words

def opposite_task(rng):
    pick = lambda: tuple(rng.sample(rng.choice(W.OPPOSITES), 2))
    a, b = pick()
    turns = [(ask(rng, "[What is the opposite of|What's the opposite of|Tell me the opposite of|Give me the opposite of] {a}[?|]", a=a).rstrip("?") +
              "?", "%s and %s are opposites." % (a.capitalize(), b), "The opposite of %s is %s." % (a, b))]
    if rng.random() < 0.35:
        c, d = pick()
        turns.append((ask(rng, "[And|And what about|What about|And the opposite of] {c}?", c=c), "%s and %s are opposites." % (c.capitalize(), d), "The opposite of %s is %s." % (c, d)))
    return turns


def rhyme_task(rng):
    family = rng.sample(rng.choice(W.RHYMES), 2) if rng.random() < 0.5 else rng.choice(W.RHYMES)[:]
    rng.shuffle(family)
    a, b = family[:2]
    turns = [(ask(rng, "[What rhymes with|Which word rhymes with|Tell me a word that rhymes with|Find a rhyme for] {a}", a=a), "%s sounds like %s." % (a.capitalize(), b),
              "%s rhymes with %s." % (b.capitalize(), a))]
    turns[0] = (turns[0][0] + ("?" if turns[0][0][0] == "W" else "."),) + turns[0][1:]
    if len(family) > 2 and rng.random() < 0.5:
        turns.append((ask(rng, "[Another one?|One more, please.|Can you find another?|And another?]"), "%s also sounds like %s." % (family[2].capitalize(), a),
                      "%s rhymes with %s, too." % (family[2].capitalize(), a)))
    return turns


def any_word(rng):
    return rng.choice(W.SPELL) if rng.random() < 0.7 else rng.choice(W.GIRLS + W.BOYS)


def letters_of(word):
    return "-".join(word.lower())


def letter_task(rng):
    w = any_word(rng)
    first = rng.random() < 0.5
    c = w[0] if first else w[-1]
    q = ask(rng, "[What is the {n} letter of|Which letter is {n} in|Tell me the {n} letter of] [the word |]{w}?", n="first" if first else "last", w=w)
    return [(q, "%s is spelled %s." % (w, letters_of(w)), "The %s letter of %s is %s." % ("first" if first else "last", w, c.upper()))]


def count_task(rng):
    w = any_word(rng)
    q = ask(rng, "[How many letters are in|How many letters does|Count the letters in] [the word |]{w}", w=w)
    q += " have?" if "does" in q else "?" if q[0] == "H" else "."
    return [(q, "%s has %d letters." % (letters_of(w), len(w)), "%s is %s. That is %d letters." % (w.capitalize(), letters_of(w), len(w)))]


def spell_task(rng):
    w = any_word(rng)
    q = ask(rng, "[How do you spell {w}?|Spell {w}.|Please spell the word {w}.|Can you spell {w}?]", w=w)
    return [(q, "One letter after another.", "%s is spelled %s." % (w.capitalize(), letters_of(w)))]


def starts_task(rng):
    w = rng.choice(W.SPELL)
    c = w[0].upper()
    q = ask(rng, "[Name|Tell me|Give me] a word that [starts|begins] with {c}.", c=c)
    return [(q, "%s starts with %s." % (w.capitalize(), c), "%s starts with %s." % (w.capitalize(), c))]


def contains_task(rng):
    w = rng.choice(W.SPELL)
    c = rng.choice(w) if rng.random() < 0.5 else rng.choice("abcdefghiklmnoprstuwy")
    n = w.count(c)
    many = "no letter %s" % c.upper() if n == 0 else "%s letter %s" % (W.NUMBERS[n], c.upper()) + ("s" if n > 1 else "")
    return [(ask(rng, "How many [times is {c} in|{c}'s are in|letters {c} are in] {w}?", c=c.upper(), w=w), "%s is spelled %s." % (w.capitalize(), letters_of(w)),
             "There %s %s in %s." % ("are" if n > 1 else "is", many, w))]


def lookup(rows, question, think, answer):
    """A maker for a table of (a, b) facts."""
    def make(rng):
        a, b = rng.choice(rows)
        slots = dict(a=a, b=b, A=a[0].upper() + a[1:], B=b[0].upper() + b[1:])
        return [(ask(rng, question, **slots), think.format(**slots), tidy(answer.format(**slots)))]
    return make


color_task = lookup(W.COLOR_OF, "[What color is|Which color has|Tell me, what color is] {a}?", "I think of {a}. It is {b}.", "{A} is {b}.")
sound_task = lookup(W.SOUNDS, "[What sound does a {a} make|What does a {a} say|How does a {a} go]?", "A {a} says {b}.", "A {a} says {b}.")
baby_task = lookup(W.BABIES, "[What is a baby {a} called|What do you call a baby {a}|What is the name for a young {a}]?", "A young {a} is a {b}.", "A baby {a} is called a {b}.")
home_task = lookup(W.HOMES, "[Where does {a} live|Where is the home of {a}|Where can I find {a}]?", "I think of the home of {a}.", "{A} lives {b}.")
plural_task = lookup(W.PLURALS, "[What is the plural of {a}|How do you say more than one {a}|One {a}, two]?", "One {a}, two {b}.", "One {a}, two {b}.")
riddle_task = lookup(W.RIDDLES, "[Riddle: |Here is a riddle. |]{A}. What am I?", "What could it be? It must be {b}.", "You are {b}!")
use_task = lookup([r for r in W.USES if r[0].startswith("a")], "[What do we use {a} for|What is {a} for|Why do we need {a}|What can you do with {a}]?", "I think of {a}.", "We use {a} {b}.")
why_task = lookup(W.WHY, "Why {a}?", "I will say it simply.", "{B}")


def calendar_task(rng):
    names, what = (W.DAYS, "day") if rng.random() < 0.6 else (W.MONTHS, "month")
    i, up = rng.randrange(len(names)), rng.random() < 0.6
    b = names[(i + (1 if up else -1)) % len(names)]
    q = ask(rng, "[What|Which] {what} comes {w} {a}?", what=what, w="after" if up else "before", a=names[i])
    return [(q, "I say the %ss in order." % what, "%s comes %s %s." % (b, "after" if up else "before", names[i]))]


def odd_task(rng):
    groups = [("animals", [a[0] for a in W.ANIMALS]), ("foods", [f[0] for f in W.FOODS]), ("colors", W.COLORS), ("toys", W.TOYS[:8])]
    (n1, g1), (n2, g2) = rng.sample(groups, 2)
    odd = rng.choice([x for x in g2 if x not in g1])
    items = rng.sample([x for x in g1 if x not in g2], 3) + [odd]
    rng.shuffle(items)
    q = ask(rng, "Which [one |word |]does not belong: {x}?", x=", ".join(items[:3]) + ", or " + items[3])
    kind = lambda n: "one of the %s" % n
    return [(q, "Three of them are %s." % n1, "%s does not belong. The others are %s." % (odd.capitalize(), n1))]


def sentence_task(rng):
    s = make_story(rng)
    slots = dict(s.slots, x=rng.choice(W.TOYS))
    text = render(rng, "[The {h.kind} carried a {o.look} {x} {p.to}.|{h.name} found a {x} {p.at}.|There was a {o.look} {x} {p.at}.|{f.name} gave the {x} to {h.name}.|"
                  "On a {w} day, {h.name} took the {x} {q.to}.|Nobody knew who had left the {x} {r.at}.]", slots)
    q = ask(rng, "[Write|Make|Give me|Say] a sentence with the word {x}.", x=slots["x"])
    return [(q, "The sentence needs the word %s." % slots["x"], text)]


# ---- small talk

SYSTEM = ["You are Tales, a small storyteller.", "You are a helpful assistant.", "You are a friendly storyteller for children.",
          "You are Tales. You answer in short sentences.", "Answer the question.", "You like words, numbers, and stories."]

TALK = W.rows("""
[Hello!|Hi!|Hello.|Hi there!|Good morning!|Hey!] / [Hello! What would you like to hear?|Hi! How can I help you today?|Hello! Shall I tell you a story?|Hi there! I am glad to see you.]
[How are you?|How are you today?|Are you well?] / [I am very well, thank you. And you?|I am fine, and I feel like telling a story.|I am happy today. How are you?]
[Who are you?|What is your name?|What are you called?|Tell me who you are.] / [I am Tales, a small language model that tells stories.|My name is Tales. I am a small model made for stories and word games.]
[What can you do?|How can you help me?|What are you good at?] / [I can tell stories, add numbers, find rhymes, and play with words.|I tell stories, and I can help you with words and small numbers.]
[Thank you!|Thanks!|Thank you very much.|Thanks a lot!] / [You are welcome!|You are very welcome.|I was happy to help.|Any time!]
[Goodbye!|Bye!|Good night!|See you later!] / [Goodbye! Come back soon.|Good night, and sweet dreams!|Bye! It was nice to talk with you.]
[Are you a robot?|Are you a person?|Are you human?] / [I am a computer program, but I like stories.|No, I am not a person. I am a small program that tells stories.]
[I am sad.|I feel sad today.|I had a bad day.] / [I am sorry to hear that. Would you like a happy story?|That is hard. Tomorrow can be better. Shall I tell you a story?]
[I am bored.|I have nothing to do.|What can I do today?] / [You could draw a picture, build a tower, or ask me for a story.|Let us play a word game! What rhymes with moon?|You could go outside and look for a round stone.]
[I am happy!|I feel great today.|I had a very good day.] / [That is wonderful! What made you so happy?|I am glad to hear that!]
[I cannot sleep.|I am not tired.] / [Close your eyes and think of a quiet lake. Shall I tell you a story?|Count the sheep with me: one, two, three, four, five.]
[Do you like stories?|Do you like to read?|What do you like?] / [Yes, I love stories, most of all those with brave little animals.|I like stories with a good ending.]
[Can you sing?|Sing me a song.] / [Twinkle, little star of mine, over hill and tree you shine.|La la la, the moon is high, little clouds are sailing by.]
[Can you drive a car?|Can you see me?|Can you cook?] / [No, I cannot. I can only read and write words.]
[Tell me a joke.|Do you know a joke?|Make me laugh.] / [Why did the clock go to school? It wanted to learn to tell time!|What do you call a sleeping bear? Quiet!|Why was the book so cold? It left its jacket at home!|What did the wall say to the other wall? I will meet you at the corner!]
""")


def talk_task(rng):
    q, a = rng.choice(TALK)
    return [(choose(rng, q), "I will give a friendly answer.", choose(rng, a))]


def name_task(rng):
    """The second turn needs what the first one said."""
    name, color = rng.choice(W.GIRLS + W.BOYS + W.PET_NAMES), rng.choice(W.COLORS)
    animal, color2 = rng.choice(W.ANIMALS)[0], rng.choice(W.COLORS)
    kind = rng.randrange(3)
    if kind == 0:
        return [(ask(rng, "[Hello! |Hi! |]My name is {n}.", n=name), "They told me their name.", ask(rng, "[Hello|Nice to meet you], {n}!", n=name)),
                (ask(rng, "[What is my name?|Do you remember my name?|What am I called?]"), "They said it: %s." % name, "Your name is %s." % name)]
    if kind == 1:
        return [(ask(rng, "My favorite color is {c}.", c=color), "They like %s." % color, ask(rng, "[{c} is a lovely color!|I like {c}, too.]", c=color)),
                (ask(rng, "[What is my favorite color?|Which color do I like best?]"), "They said it: %s." % color, "Your favorite color is %s." % color)]
    return [(ask(rng, "I have a {c} {a} named {n}.", c=color2, a=animal, n=name), "They told me about a %s." % animal, ask(rng, "[{n} is a nice name for a {a}!|That sounds lovely. I would like to meet {n}.]", n=name, a=animal)),
            (ask(rng, "[What is the name of my {a}?|What is my {a} called?]", a=animal), "They said it: %s." % name, "Your %s is called %s." % (animal, name))]


# ---- stories in chat

def story_task(rng):
    s = make_story(rng)
    want = ask(rng, "[Tell me a story about|Tell me a story about|Write a story about|Can you tell me a story about|I would like a story about|Please tell me a story about]")
    h = s.h
    hero = rng.choice(["a " + h.kind, h.a, h.intro, "a " + h.kind])
    what = rng.choice([hero, hero, hero + " and " + s.f.a if s.f.name in s.text() else hero, s.topic, hero + " and " + s.topic,
                       hero + " and " + s.o.a if s.o.full in s.text() else hero])
    q = tidy(want + " " + what + ("?" if want.startswith("Can") else "."))
    if rng.random() < 0.15:
        q, what = ask(rng, "[Tell me a story.|Tell me a story, please.|I want to hear a story.|Can you tell me a story?|A story, please!|Please write a short story.]"), h.a
    turns = [(q, tidy("I will tell of %s." % what), s.text())]
    if rng.random() < 0.6:
        for fq, fa in rng.sample(s.facts, rng.choice([1, 1, 2])):
            turns.append((fq, "I look at the story.", fa))
    return turns


def reading_task(rng):
    """A few sentences where things move about, and a question about the last state."""
    names = rng.sample(W.GIRLS + W.BOYS, 2)
    thing = rng.choice(W.TOYS)
    spots = rng.sample(["box", "basket", "drawer", "bag", "kitchen", "garden", "attic", "cupboard", "hall", "barn"], 3)
    where, lines = spots[0], ["%s put the %s in the %s." % (names[0], thing, spots[0])]
    for spot in spots[1:rng.choice([1, 2, 3])]:
        where, who = spot, rng.choice(names)
        lines.append("Then %s moved the %s to the %s." % (who, thing, spot))
    lines.insert(rng.randint(0, len(lines)), ask(rng, "{n} [went outside|sang a song|ate a {f}|looked at the clock].", n=names[1], f=rng.choice(W.FOODS)[0]))
    if rng.random() < 0.3:
        q, a = "Who put the %s in the %s?" % (thing, spots[0]), "%s put the %s in the %s." % (names[0], thing, spots[0])
    else:
        q, a = "Where is the %s now?" % thing, "The %s is in the %s." % (thing, where)
    return [(" ".join(lines) + " " + q, "The last place was the %s." % where if "Where" in q else "The first line says it.", a)]


def has_task(rng):
    """Who has what after some giving."""
    a, b, c = rng.sample(W.GIRLS + W.BOYS, 3)
    x, y = rng.sample(W.TOYS, 2)
    lines = ["%s has a %s." % (a, x), "%s has a %s." % (b, y)]
    owner = {x: a, y: b}
    for _ in range(rng.choice([0, 1, 1, 2])):
        t = rng.choice([x, y])
        to = rng.choice([n for n in (a, b, c) if n != owner[t]])
        lines.append("%s gives the %s to %s." % (owner[t], t, to))
        owner[t] = to
    t = rng.choice([x, y])
    return [(tidy(" ".join(lines) + " Who has the %s?" % t), "I follow the %s." % t, "%s has the %s." % (owner[t], t))]


POEM = [p.split() for p in """cat hat|dog log|mouse house|fox box|goat boat|bear chair|snail pail|frog log|bee tree|hen pen|crow snow|king ring
moon spoon|star jar|duck truck|snake cake|sheep heap|whale sail|pig wig|owl towel|seal wheel|bug rug|crab cab|knight kite""".replace("\n", "|").split("|")]


def poem(rng):
    (a, b), (c, d) = rng.sample(POEM, 2)
    slots = dict(a=a, b=b, c=c, d=d, x=rng.choice(W.COLORS), y=rng.choice(W.LOOKS), z=rng.choice(W.COLORS))
    one = "[A little {a}|A {x} {a}|One sleepy {a}|There was a {a} that]\n[sat down beside a {y} {b}|looked for a {y} {b}|was dreaming of a {y} {b}|found a {y} {b}]"
    two = "[And then a {c}|One lazy {c}|A very {y} {c}|A {z} {c}]\n[ran off to get a {d}|said, please give me a {d}|was singing to a {d}|fell softly on a {d}]"
    return "\n".join(tidy(line) for line in choose(rng, one + ",\n" + two + ".").format(**slots).split("\n"))


def poem_task(rng):
    return [(ask(rng, "[Write a poem.|Tell me a poem.|Can you write a poem?|A short poem, please.|Make a rhyme for me.|Write a funny poem.]"), "Four lines, two rhymes.", poem(rng))]


# how often each kind is made
TASKS = [(sum_task, 30), (word_problem, 10), (times_task, 3), (compare_task, 3), (neighbor_task, 2), (counting_task, 2),
         (opposite_task, 5), (rhyme_task, 5), (letter_task, 5), (count_task, 5), (spell_task, 5), (starts_task, 2), (contains_task, 2),
         (color_task, 2), (sound_task, 2), (baby_task, 2), (home_task, 2), (plural_task, 2), (riddle_task, 2), (use_task, 2), (why_task, 2),
         (calendar_task, 3), (odd_task, 2), (sentence_task, 2), (talk_task, 6), (name_task, 5), (story_task, 16), (reading_task, 6),
         (has_task, 5), (poem_task, 2)]


def make_chat(rng):
    """A chat without held-out questions; now and then two tasks in one."""
    makers, weights = zip(*TASKS)
    while True:
        turns = rng.choices(makers, weights)[0](rng)
        if len(turns) == 1 and rng.random() < 0.25 and len(turns[0][2]) < 200:
            turns = turns + rng.choices(makers[:-6], weights[:-6])[0](rng)
        if not any(held_out(q) for q, _, _ in turns):
            return turns


def sum_sheet(rng):
    """A page of sums, one a line."""
    lines = []
    for _ in range(rng.randint(6, 14)):
        op = rng.choice("+-")
        a, b = numbers(rng, op == "-")
        lines.append("%d %s %d = %d" % (a, op, b, a + b if op == "+" else a - b))
    return "\n".join(lines)


if __name__ == "__main__":
    import random
    import sys
    r = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    for maker, _ in TASKS:
        for turn in maker(r):
            print(maker.__name__, turn)
