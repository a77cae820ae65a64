#!/usr/bin/env python3
"""Makes src/text/unicode_data.c from the Unicode Character Database.

    scripts/unicode_tables.py [/usr/share/unicode] > src/text/unicode_data.c

The directory holds UnicodeData.txt, PropList.txt, Scripts.txt, SpecialCasing.txt and EastAsianWidth.txt (Debian: package
unicode-data). A code point's class is one byte: its general category, as a place in CATEGORIES, with WHITE_SPACE, HAN
and WIDE. 0x110000 classes are kept as blocks, each of them once. Beside them stand sorted lists: canonical
decompositions, whole, and how letters change their case.
"""

import re
import sys

# The order of `enum` in src/text/unicode.h.
CATEGORIES = "Cn Cc Cf Cs Co Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp".split()
WHITE_SPACE = 0x20
HAN = 0x40
WIDE = 0x80
CODE_POINTS = 0x110000
BLOCK = 256


def read_categories(path):
    """One class for each code point; what the file does not name is Cn."""
    classes = bytearray(CODE_POINTS)
    first = None
    for line in open(path, encoding="ascii"):
        code, name, category = line.split(";")[:3]
        code = int(code, 16)
        if name.endswith(", First>"):
            first = code
            continue
        begin = first if name.endswith(", Last>") else code
        classes[begin : code + 1] = bytes([CATEGORIES.index(category)]) * (code + 1 - begin)
    return classes


def add_property(classes, path, name, bit):
    """Marks the code points that the file gives a property or a script; returns the database's version."""
    text = open(path, encoding="utf-8").read()
    for begin, end in re.findall(rf"^([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*; {name}\b", text, re.M):
        for code in range(int(begin, 16), int(end or begin, 16) + 1):
            classes[code] |= bit
    return re.match(r"# \w+-([0-9.]+)\.txt", text)[1]


def read_decompositions(path):
    """Canonical decompositions, each down to characters that have none."""
    parts = {}
    for line in open(path, encoding="ascii"):
        fields = line.split(";")
        code = int(fields[0], 16)
        if fields[5] and not fields[5].startswith("<"):
            parts[code] = [int(c, 16) for c in fields[5].split()]

    def whole(code):
        return [c for part in parts[code] for c in whole(part)] if code in parts else [code]

    return {code: whole(code) for code in sorted(parts)}


def read_cases(path):
    """{code point: its differences to upper, lower and title case}, where one is not 0."""
    cases = {}
    for line in open(path, encoding="ascii"):
        fields = line.rstrip("\n").split(";")
        code = int(fields[0], 16)
        upper, lower, title = (int(f, 16) if f else code for f in (fields[12], fields[13], fields[14] or fields[12]))
        if (upper, lower, title) != (code, code, code):
            cases[code] = (upper - code, lower - code, title - code)
    return cases


def join_cases(cases):
    """Rows [first, last, step, differences]: neighbours, or every second code point."""
    rows = []
    for code, delta in sorted(cases.items()):
        row = rows[-1] if rows else None
        step = code - row[1] if row else 0
        if row and row[3] == delta and step in ((1, 2) if row[0] == row[1] else (row[2],)):
            row[1], row[2] = code, step
        else:
            rows.append([code, code, 1, delta])
    return rows


def read_special_cases(path):
    """(code point, [upper, lower, title] as lists) of the mappings that hold everywhere."""
    rows = []
    for line in open(path, encoding="utf-8"):
        fields = [f.strip() for f in line.split("#")[0].split(";")]
        if len(fields) < 5 or fields[4]:
            continue
        lower, title, upper = ([int(c, 16) for c in f.split()] for f in fields[1:4])
        rows.append((int(fields[0], 16), [upper, lower, title]))
    return sorted(rows)


def add_wide(classes, path):
    """Marks the code points that take two columns of a terminal: East_Asian_Width W and F."""
    text = open(path, encoding="utf-8").read()
    for begin, end in re.findall(r"^([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;\s*[WF]\b", text, re.M):
        for code in range(int(begin, 16), int(end or begin, 16) + 1):
            classes[code] |= WIDE


def share_blocks(classes):
    """The different blocks, and for each block of code points which one it is."""
    blocks, index = {}, []
    for at in range(0, CODE_POINTS, BLOCK):
        index.append(blocks.setdefault(bytes(classes[at : at + BLOCK]), len(blocks)))
    assert len(blocks) <= 256
    return list(blocks), index


def print_numbers(numbers, indent="    "):
    line = indent
    for number in numbers:
        item = f"{number},"
        if len(line) + len(item) > 120:
            print(line)
            line = indent
        line += item
    print(line)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    classes = read_categories(f"{folder}/UnicodeData.txt")
    version = add_property(classes, f"{folder}/PropList.txt", "White_Space", WHITE_SPACE)
    add_property(classes, f"{folder}/Scripts.txt", "Han", HAN)
    parts = read_decompositions(f"{folder}/UnicodeData.txt")
    add_wide(classes, f"{folder}/EastAsianWidth.txt")
    blocks, index = share_blocks(classes)
    print(f"/* Made by scripts/unicode_tables.py from the Unicode Character Database {version}; do not edit. */")
    print("/* clang-format off */")
    print('#include "text/unicode.h"\n')
    print(f"const uint8_t unicode_block[{len(index)}] = {{")
    print_numbers(index)
    print("};\n")
    print(f"const uint8_t unicode_class[][UNICODE_BLOCK] = {{ /* [{len(blocks)}][{BLOCK}] */")
    for block in blocks:
        print("    {")
        print_numbers(block, "        ")
        print("    },")
    print("};\n")
    print("const unicode_decomposition unicode_decompositions[] = {")
    print_numbers([f"{{{code},{{{','.join(map(str, parts[code]))}}}}}" for code in parts])
    print("};")
    print(f"const size_t unicode_n_decompositions = {len(parts)};\n")
    print("const unicode_case unicode_cases[] = {")
    rows = join_cases(read_cases(f"{folder}/UnicodeData.txt"))
    for first, last, step, delta in rows:
        print(f"    {{{first:#x}, {last:#x}, {step}, {{{', '.join(map(str, delta))}}}}},")
    print("};")
    print(f"const size_t unicode_n_cases = {len(rows)};\n")
    print("const unicode_special_case unicode_special_cases[] = {")
    special = read_special_cases(f"{folder}/SpecialCasing.txt")
    for code, to in special:
        print(f"    {{{code:#x}, {{{', '.join('{' + ', '.join(f'{c:#x}' for c in t) + '}' for t in to)}}}}},")
    print("};")
    print(f"const size_t unicode_n_special_cases = {len(special)};")


main()
