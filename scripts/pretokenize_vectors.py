#!/usr/bin/env python3
"""Makes tests/unit/pretokenize.inc: how the regular expressions of each pre-tokenizer cut a list of texts.

    scripts/pretokenize_vectors.py > tests/unit/pretokenize.inc      (needs the Python package tokenizers)

The expressions are those of the models' tokenizer.json files; the regex engine is the one that reads these files. So
the vectors do not come from our own matchers. A word is written as its length in bytes.
"""

from tokenizers import Regex
from tokenizers.pre_tokenizers import Sequence, Split

CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACE = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACE
QWEN = LLAMA.replace("{1,3}", "")
U, V = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PREFIX = r"[^\r\n\p{L}\p{N}]?"
CASED = f"{PREFIX}{U}*{V}+X|{PREFIX}{U}+{V}*X"
GPT4O = CASED.replace("X", CONTRACTION + "?") + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACE
TEKKEN = CASED.replace("X", "") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACE
KIMI = (
    r"[\p{Han}]+|"
    + CASED.replace("X", CONTRACTION + "?").replace("\\p{M}]", "\\p{M}&&[^\\p{Han}]]")
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    + SPACE
)
DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*" + SPACE
)
CASED_SCRIPTS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕ"
)  # as far as the texts below go
DEEPSEEK_MARKS = r"\s?[!-/:-~！-／：-～‘-‟\u3001-。]+"  # white space is left out of both, as src/text/pretokenize.c says
CJK = r"[ࠀ-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff\u3001-龥가-\ud7ff]+"
KANA = r"[一-龥\u3040-ゟ゠-ヿ]+"
ASIAN = (
    r"[一-鿿㐀-\u4dbf\uf900-\ufaff\u3040-ゟ゠-ヿ･-ﾟ⼀-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f"
    r"\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+"
)
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
SIZES = "".join(rf"|\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4))

ROWS = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA],
    "qwen2": [QWEN],
    "bailingmoe": [
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ],
    "qwen35": [CONTRACTION + "|" + PREFIX + r"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACE],
    "gpt-4o": [GPT4O],
    "tekken": [TEKKEN],
    "kimi-k2": [KIMI],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
    "deepseek-llm": ["[\r\n]", rf"\s?[{CASED_SCRIPTS}]+", DEEPSEEK_MARKS, r"\s+$", CJK, r"\p{N}+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", KANA, DEEPSEEK3],
    "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))", ASIAN, DEEPSEEK3],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "chameleon": [
        "<sentinel:[0-9]+>",
        "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
        r"([\t\n]|    |  )",
        r"\p{N}",
        r"[\p{P}!-/:-@\[-`{-~]",
        GPT2,
    ],
    "seed-coder": [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + SPACE],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", GPT4O],
    "exaone-moe": [
        CONTRACTION
        + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
    ],
    "minicpm5": [r"\p{N}{1,3}", LLAMA.replace("{1,3}", "+")],
    "jais-2": [LLAMA.replace(r"|\s+(?!\S)|\s+", SIZES + r"|\s{1,2}(?!\S)|\s{1}")],
    "laguna": [r"[^\n]+|[\n]+", QWEN],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + KANA, GPT4O.replace("{1,3}", "")],
}

TEXTS = [
    "Hello world, it's a small   test.\n\n  Don't you think so?  ",
    "DON'T we'LL I'Ve 'tis ' s'ſ rock'n'roll they'd've",
    "HelloWorld parseHTTPRequest XMLHttp iPhone ABCdef ǅabc ʰX",
    "1 12 123 1234 1234567 12345678901 3.14159 -42 1,000,000 $5.00 12ab 1234ab 12½345 ٣٤٥٦ Ⅷ²",
    "12345² 1234½ 123Ⅷ 1234_ 12345é 1234\u0301",  # what ends a number
    "int main(void) {\n\treturn a[i]->x += 0x1F; // ok\r\n}\r\n\r\n\t\t\n x",
    "a b  c   d    e     f      g \n \n  h\t\ti \t j",
    "http://example.org/a/b?c=d&e=f#g ~/x ~~ <|tag|> ``code`` $x^2 + y_1 | z\\n !!!\n///\n",
    "Äpfel ÜBER naïve café Straße ἀρχή Ελληνικά РУССКИЙ язык",
    "中文字符，日本語のテキスト。カタカナ、한국어 텍스트！豈㐀 漢々〇Ⅹ字abc ABC日本Def",
    "e\u0301te\u0302 \u0301x \u0301 नमस्ते दुनिया।ไทยเกิด العربية، نص؟",
    "😀👍🏽 ☃ © ™ 👩\u200d👩\u200d👧 ½ ²³ \u00ad\u200b\ufeff x",
    "a\u00a0b \u3000c\u3000 d\u2028e \u2028\u2029 f\u0085 g\x0b\x0ch",
    " " * 40 + "x" + " " * 7,
    " " * 700 + "x" + " " * 300 + "\n" + " " * 600 + "\u3000" * 3 + "y",  # where jais-2 halves runs
    "\n" * 5 + " \r\n \r\r x\n",
    "<sentinel:12> <sentinel:> IMGIMGABCZ IMGIMGABCDEZ IMGIMGZ IMG    two  four",
    "“Quoted” ‘text’ — dash… ：；！？（）【】 ㄅㄆ ㄱㄴ",
    "The quick brown fox jumps over 13 lazy dogs; \"isn't it?\" he said. (No.)",
    "def f(x):\n    if x > 10:\n        return x**2\n\n\n\nclass A:\n  pass\n",
]


def c_string(text):
    """ASCII of a C literal; a byte after an escape begins a new literal."""
    out, escaped = "", False
    for byte in text.encode():
        char = chr(byte)
        plain = 32 <= byte < 127 and char not in '"\\'
        if plain and escaped and char in "0123456789abcdefABCDEF":
            out += '" "'
        out += char if plain else "\\" + char if char in '"\\' else f"\\x{byte:02X}"
        escaped = not plain and char not in '"\\'
    return f'"{out}"'


def main():
    print("/* Made by scripts/pretokenize_vectors.py; do not edit. */")
    print("/* clang-format off */")
    print("static const char *const pre_texts[] = {")
    for text in TEXTS:
        print(f"    {c_string(text)},")
    print("};\n")
    print(f"static const struct {{\n    const char *pre, *lengths[{len(TEXTS)}];\n}} pre_rows[] = {{")
    for name, expressions in ROWS.items():
        cut = Sequence([Split(Regex(e), "isolated") for e in expressions])
        print(f'    {{"{name}",\n     {{')
        for text in TEXTS:
            lengths = [str(len(word.encode())) for word, _ in cut.pre_tokenize_str(text)]
            print(f'         "{" ".join(lengths)}",')
        print("     }},")
    print("};")


main()
