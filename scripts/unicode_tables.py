#!/usr/bin/env python3
"""Makes src/text/unicode_data.c from the Unicode Character Database.

    scripts/unicode_tables.py [/usr/share/unicode] > src/text/unicode_data.c

The directory holds UnicodeData.txt and PropList.txt (Debian: package unicode-data). A code point's class is one
byte: its general category, as a place in CATEGORIES, and WHITE_SPACE. 0x110000 classes are kept as blocks, each of
them once.
"""

import re
import sys

# The order of `enum` in src/text/unicode.h.
CATEGORIES = "Cn Cc Cf Cs Co Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp".split()
WHITE_SPACE = 0x20
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


def add_white_space(classes, path):
    """Marks the code points with the property White_Space; returns the database's version."""
    text = open(path, encoding="utf-8").read()
    for begin, end in re.findall(r"^([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*; White_Space\b", text, re.M):
        for code in range(int(begin, 16), int(end or begin, 16) + 1):
            classes[code] |= WHITE_SPACE
    return re.match(r"# PropList-([0-9.]+)\.txt", text)[1]


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
    version = add_white_space(classes, f"{folder}/PropList.txt")
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
    print("};")


main()
