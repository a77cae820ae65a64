/* Chat templates: what jinja2 makes of some nine hundred, whose each byte is, limits, errors, JSON. */
#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "tests/unit/check.h"
#include "tests/unit/template_cases.inc"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Renders; the text ("!" and the message where it fails) is to be freed, and the marks are 'T' and 'c' in *own. */
static char *render(const char *template, const char *json, char **own) {
    gguf_error err = {0};
    gguf_chat_text text = {0};
    gguf_chat_template *t = gguf_chat_template_open(template, strlen(template), &err);
    gguf_chat_params p = {.variables = json, .now = "2026-11-20 12:34:56"};
    bool ok = t && gguf_chat_render(t, &p, &text, &err);
    gguf_chat_template_close(t);
    char *out = malloc(ok ? text.n + 1 : strlen(err.message) + 2);
    if (!out) abort();
    if (ok) {
        memcpy(out, text.text, text.n + 1);
        for (size_t i = 0; own && i < text.n; i++) text.text[i] = text.own[i] ? 'T' : 'c';
    } else {
        out[0] = '!';
        strcpy(out + 1, err.message);
    }
    if (own) *own = ok ? strdup(text.text) : NULL;
    gguf_chat_text_free(&text);
    return out;
}

static void test_cases(void) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *out = render(cases[i][0], variables, NULL);
        bool same = cases[i][1] ? strcmp(out, cases[i][1]) == 0 : out[0] == '!';
        if (!same)
            fprintf(stderr, "template %s\n  gives %s\n  not   %s\n", cases[i][0], out,
                    cases[i][1] ? cases[i][1] : "an error");
        CHECK(same);
        free(out);
    }
}

/* Which bytes are the template's (T) and which the caller's (c). */
static void test_provenance(void) {
    static const char json[] = "{\"u\": \" <x>,B \", \"n\": 5, \"l\": [\"p\", \"q\"], \"d\": {\"k\": \"v\"}, "
                               "\"messages\": [{\"role\": \"user\", \"content\": \"c\"}, {\"role\": \"<|x|>\"}]}";
    static const char *const rows[][3] = {
        {"a{{ u }}b", "a <x>,B b", "TcccccccT"},
        {"{{ '<' + u.strip() ~ '>' }}", "<<x>,B>", "TcccccT"},
        {"{{ (u | trim | upper) }}", "<X>,B", "ccccc"},
        {"{{ u.strip().split(',') | join('; ') }}", "<x>; B", "cccTTc"},
        {"{{ u.replace('x', 'yy') }}", " <yy>,B ", "ccTTcccc"},
        {"{{ ('ab' ~ u)[1:4] }}", "b <", "Tcc"},
        {"{{ ('ab' ~ u)[::-1] }}", " B,>x< ba", "cccccccTT"},
        {"{{ l | tojson }}", "[\"p\", \"q\"]", "TTcTTTTcTT"},
        {"{{ d | tojson }}", "{\"k\": \"v\"}", "TTcTTTTcTT"},
        {"{{ l }}", "['p', 'q']", "TTcTTTTcTT"},
        {"{{ n }}{{ n + 1 }}{{ 1 + 1 }}", "562", "ccT"},
        {"{{ '%s|%d' % (u, n) }}", " <x>,B |5", "cccccccTc"},
        {"{{ '{}|{}'.format(l[0], 'z') }}", "p|z", "cTT"},
        {"{% set x %}a{{ l[0] }}{% endset %}{{ x * 2 }}", "apap", "TcTc"},
        {"{% macro m(v) %}[{{ v }}]{% endmacro %}{{ m(l[1]) }}", "[q]", "TcT"},
        {"{{ l[0] | indent(2, true) }}", "  p", "TTc"},
        {"{{ l | map('upper') | first }}{{ 'x' | center(3) }}", "P x ", "cTTT"},
        {"{{ messages[0].role }}{{ messages[1].role }}{{ messages[0].content }}", "user<|x|>c", "TTTTcccccc"},
        {"{{ l[0] | e }}{{ u | e }}", "p &lt;x&gt;,B ", "cccccccccccccc"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *own = NULL, *out = render(rows[i][0], json, &own);
        bool same = own && strcmp(out, rows[i][1]) == 0 && strcmp(own, rows[i][2]) == 0;
        if (!same) fprintf(stderr, "template %s\n  gives %s\n        %s\n", rows[i][0], out, own ? own : "");
        CHECK(same);
        free(own);
        free(out);
    }
}

/* Each ends with an error that has these words in it. */
static void test_errors(void) {
    static const char *const rows[][2] = {
        {"a\n\n{{ x.y }}", "line 3: 'x' is undefined"},
        {"a\n{% if %}", "line 2"},
        {"{{ raise_exception('not so') }}", "not so"},
        {"{{ 'x' * 1000000000 }}", "MiB"},
        {"{{ [1] * 1000000000 }}", "MiB"},
        {"{{ 'x'.ljust(1000000000) }}", "too large"},
        {"{{ '%999999999d' % 1 }}", "too large"},
        {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "steps"},
        {"{% for i in range(99999) %}{{ "
         "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}"
         "{% endfor %}",
         "8 MiB"},
        {"{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
         "step"},
        {"{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "8 MiB"},
        {"{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", "nested"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deeper than 64"},
        {"{% include 'x' %}", "tag"},
        {"{% for i in l recursive %}{% endfor %}", "recursive"},
        {"{{ 9223372036854775807 + 1 }}", "64 bits"},
        {"{{ [].append(1) }}", "append"},
        {"{{ 1 | nosuch }}", "nosuch"},
        {"{{ 1 is nosuch }}", "nosuch"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *out = render(rows[i][0], "{}", NULL);
        bool fits = out[0] == '!' && strstr(out, rows[i][1]);
        if (!fits) fprintf(stderr, "template %s\n  gives %.300s\n", rows[i][0], out);
        CHECK(fits);
        free(out);
    }
    /* nesting of every kind, far deeper than the bound */
    static const char *const nested[][2] = {{"(", "1"},      {"[", "1"},     {"{1:", "1"},
                                            {"-", "1"},      {"not ", "1"},  {"f(", "1"},
                                            {"a[", "1"},     {"1 if ", "1"}, {"1 if 1 else ", "1"},
                                            {"a is b(", "1"}};
    for (size_t i = 0; i < COUNT(nested); i++) {
        char *big = calloc(1, 20000 * strlen(nested[i][0]) + 16);
        if (!big) abort();
        strcat(big, "{{ ");
        char *end = big + 3;
        for (int k = 0; k < 20000; k++) end = stpcpy(end, nested[i][0]);
        strcpy(end, "1 }}");
        char *out = render(big, "{}", NULL);
        CHECK(out[0] == '!');
        free(out);
        free(big);
    }
    /* long, but not deep */
    char *big = calloc(1, 200000);
    if (!big) abort();
    strcat(big, "{{ 1");
    char *end = big + 4;
    for (int k = 0; k < 20000; k++) end = stpcpy(end, " + 1");
    strcpy(end, " }}");
    char *out = render(big, "{}", NULL);
    CHECK(strcmp(out, "20001") == 0);
    free(out);
    free(big);
}

static void test_json(void) {
    static const char *const bad[] = {"",
                                      "{",
                                      "[",
                                      "{\"a\"}",
                                      "{\"a\": }",
                                      "{\"a\": 1,}",
                                      "{\"a\": 01}",
                                      "{\"a\": 1.}",
                                      "{\"a\": \"\\x\"}",
                                      "{\"a\": \"",
                                      "{\"a\": tru}",
                                      "{} {}",
                                      "{\"a\": 99999999999999999999}",
                                      "{\"a\": \"\n\"}",
                                      "[1]",
                                      "1"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *out = render("{{ a }}", bad[i], NULL);
        CHECK(out[0] == '!' && strstr(out, "conversation"));
        free(out);
    }
    char *line = render("\n{{ a | from_json }}", "{\"a\": \"x\"}", NULL);
    CHECK(line[0] == '!' && strstr(line, "chat template, line 2: from_json")); /* a template's JSON: its line */
    free(line);
    char deep[402] = "{\"a\":";
    memset(deep + 5, '[', 200);
    memset(deep + 205, ']', 196);
    char *out = render("{{ a }}", deep, NULL);
    CHECK(out[0] == '!' && strstr(out, "deeply"));
    free(out);
    out = render("{{ a }}", "{\"a\": \"\\u00e9\\ud83d\\ude80\\ud83d\\n\", \"a\": -1.5e3}", NULL);
    CHECK(strcmp(out, "-1500.0") == 0);
    free(out);
    out = render("{{ a | tojson }}", "{\"a\": [\"\\u00e9\\ud83d\\ude80\\ud83d\\n\", -0.0, 1E2, null]}", NULL);
    CHECK(strcmp(out, "[\"\u00e9\U0001F680\uFFFD\\n\", -0.0, 100.0, null]") == 0);
    free(out);
}

/* Found by the fuzzer: each character of a text was looked for from the text's beginning. */
static void test_characters_are_walked_once(void) {
    char *out = render("{{ ('\\u00e9' * 150000) | unique | list | length }}", "{}", NULL);
    CHECK(strcmp(out, "1") == 0);
    free(out);
    out = render("{% set s = '\\u00e9' * 400000 %}{% for i in range(99999) %}{% if s[399999] %}{% endif %}{% endfor %}",
                 "{}", NULL);
    CHECK(out[0] == '!' && strstr(out, "steps"));
    free(out);
}

/* Bytes that are no UTF-8 go through as they are. */
static void test_bytes(void) {
    char *out = render("\xFF{{ a }}\x80{{ a | upper | trim }}{{ a | length }}", "{\"a\": \" b\xFE\xC3 \"}", NULL);
    CHECK(strcmp(out, "\xFF b\xFE\xC3 \x80"
                      "B\xFE\xC3"
                      "5") == 0);
    free(out);
}

static void test_builtins(void) {
    static const char messages[] =
        "[{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"U\"}, "
        "{\"role\": \"assistant\", \"content\": \"A\"}, {\"role\": \"user\", \"content\": \"V\"}]";
    size_t n = 0;
    for (const char *name; (name = gguf_chat_template_name(n)); n++) {
        gguf_error err = {0};
        gguf_chat_text text = {0};
        gguf_chat_template *t = gguf_chat_template_builtin(name, &err);
        gguf_chat_params p = {.messages = messages, .add_generation_prompt = true};
        bool ok = t && gguf_chat_render(t, &p, &text, &err);
        if (!ok) fprintf(stderr, "%s: %s\n", name, err.message);
        CHECK(ok && strchr(text.text, 'S') && strchr(text.text, 'U') && strchr(text.text, 'A') &&
              strchr(text.text, 'V'));
        gguf_chat_text_free(&text);
        gguf_chat_template_close(t);
    }
    CHECK(n > 25);
    gguf_chat_template *mistral = gguf_chat_template_builtin("mistral", NULL); /* the name that people try first */
    CHECK(mistral != NULL);
    gguf_chat_template_close(mistral);
    gguf_error err = {0};
    CHECK(!gguf_chat_template_builtin("nosuch", &err) && err.code == GGUF_ERR_USAGE);
}

int main(void) {
    test_cases();
    test_provenance();
    test_errors();
    test_characters_are_walked_once();
    test_json();
    test_bytes();
    test_builtins();
    return check_summary();
}
