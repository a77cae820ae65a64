"""A little world for stories: people, things, places, and the text that tells of them.

Templates read `[this|that|]` as a choice and `{h.name}` as a slot.
"""
import re

import words as W

CHOICE = re.compile(r"\[([^\[\]]*)\]")


def choose(rng, text):
    """Resolve every [a|b|c], the innermost first."""
    while True:
        text, n = CHOICE.subn(lambda m: rng.choice(m.group(1).split("|")), text)
        if not n:
            return text


def tidy(text):
    """Mend the spaces, the articles and the capitals that templates leave behind."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" ([.,!?])", r"\1", text)
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    upper = lambda m: m.group(1) + m.group(2).upper()
    text = re.sub(r"([.!?] )([a-z])", upper, text)
    text = re.sub(r'((?:^|\s)")([a-z])', upper, text)
    return text[:1].upper() + text[1:]


def render(rng, text, slots):
    return tidy(choose(rng, text).format(**slots))


class Who:
    """Someone in a story, with the pronouns that fit."""

    def __init__(self, name, kind, female, trait, home="", joy="", likes=""):
        self.name, self.kind, self.female, self.trait = name, kind, female, trait
        self.likes = likes
        self.he, self.him, self.his = ("she", "her", "her") if female else ("he", "him", "his")
        self.He, self.His = self.he.capitalize(), self.his.capitalize()
        self.home, self.joy = home.format(his=self.his), joy.format(his=self.his)

    human = property(lambda self: self.kind in ("girl", "boy"))
    the = property(lambda self: ("the little " if self.human else "the ") + self.kind)
    a = property(lambda self: "a %s named %s" % (self.kind, self.name))
    intro = property(lambda self: "a %s %s named %s" % (self.trait, self.kind, self.name))

    def __str__(self):
        return self.name


class Thing:
    def __init__(self, noun, look):
        self.noun, self.look = noun, look
        self.full = look + " " + noun
        self.a, self.the = "a " + self.full, "the " + self.full

    def __str__(self):
        return self.noun


class Place:
    def __init__(self, name, prep, sight, spots):
        self.name, self.sight = name, sight
        self.spots = spots.split(", ")
        self.the = "the " + name
        self.at, self.to = prep + " the " + name, "to the " + name

    def __str__(self):
        return self.the


def a_child(rng, female=None, taken=()):
    female = rng.random() < 0.5 if female is None else female
    trait, likes = rng.choice(W.CHILD_TRAITS)
    name = rng.choice([n for n in (W.GIRLS if female else W.BOYS) if n not in taken])
    return Who(name, "girl" if female else "boy", female, trait, "the village", "laughed out loud", likes)


def an_animal(rng, female=None, taken=(), kind=None):
    female = rng.random() < 0.5 if female is None else female
    kinds = [a for a in W.ANIMALS if a[0] not in taken]
    kind, home, joy, _ = next((a for a in kinds if a[0] == kind), None) or rng.choice(kinds)
    name = rng.choice([n for n in W.PET_NAMES if n not in taken])
    return Who(name, kind, female, rng.choice(W.ANIMAL_TRAITS), home, joy)


def a_thing(rng, nouns=W.TOYS):
    return Thing(rng.choice(nouns), rng.choice(W.COLORS if rng.random() < 0.7 else W.LOOKS))


def some_places(rng, n):
    """n places, the first of them under the open sky."""
    first = rng.choice([row for row in W.PLACES if row[0] not in W.INDOORS])
    others = rng.sample([row for row in W.PLACES if row is not first], n - 1)
    return [Place(*row) for row in [first] + others]


class Story:
    """Collects the text of one story and the facts that one may ask about later."""

    def __init__(self, rng):
        self.rng, self.parts, self.facts, self.slots = rng, [[]], [], {}
        animals = rng.random() < 0.45
        self.animals = animals
        one = an_animal if animals else a_child
        h = one(rng)
        f = one(rng, (not h.female) if rng.random() < 0.75 else h.female, (h.name, h.kind))
        grownup, he = rng.choice(W.GROWNUPS)
        p, q, r = some_places(rng, 3)
        name, weather, fine = rng.choice(W.WEATHER)
        self.fine, self.weather = fine == "y", name
        self.slots = dict(h=h, f=f, o=a_thing(rng), p=p, q=q, r=r, g=grownup, ghe=he, gHe=he.capitalize(),
                          gher="her" if he == "she" else "him",
                          ghis="her" if he == "she" else "his", w=name, weather=weather)

    def __getattr__(self, key):
        try:
            return self.__dict__["slots"][key]
        except KeyError:
            raise AttributeError(key)

    def set(self, **slots):
        self.slots.update(slots)

    def say(self, text, chance=1.0):
        if self.rng.random() < chance:
            self.parts[-1].append(render(self.rng, text, self.slots))

    def either(self, *texts):
        self.say(self.rng.choice(texts))

    def part(self):
        if self.parts[-1]:
            self.parts.append([])

    def ask(self, question, answer):
        """Note a question about the story and its answer."""
        self.facts.append((render(self.rng, question, self.slots), render(self.rng, answer, self.slots)))

    def text(self):
        return "\n\n".join(" ".join(p) for p in self.parts if p)
