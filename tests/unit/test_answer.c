/* What a model says, taken apart: thinking, answer, calls of tools; in pieces of every size. */
#include <stdlib.h>
#include <string.h>

#include "cli/answer.h"
#include "tests/unit/check.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool holds(const buffer *b, const char *text) {
    return b->n == strlen(text) && (b->n == 0 || memcmp(b->data, text, b->n) == 0);
}

static const thinking_marks *marks_of(const char *template) {
    gguf_chat_template *t = gguf_chat_template_open(template, strlen(template), NULL);
    const thinking_marks *m = find_thinking(t);
    gguf_chat_template_close(t);
    return m;
}

static void test_thinking(void) {
    static const struct {
        const char *template;
        bool inside;
        const char *said, *thought, *text;
    } rows[] = {
        {"none", false, "<think>a</think>b", "", "<think>a</think>b"},
        {"</think>", false, "<think>\na\n</think>\n\nb\n", "\na\n", "b\n"},
        {"</think>", true, "a</think>\n\nb", "a", "b"},
        {"</think>", true, "a</thin", "a</thin", ""},
        {"</think>", false, "\n\nb <think>c</think>", "", "b <think>c</think>"},
        {"</think>", false, "<thin", "", "<thin"},
        {"[/THINK]", false, "[THINK]a[/THINK]b", "a", "b"},
        {"<|END_THINKING|>", false, "<|START_THINKING|>a<|END_THINKING|>b", "a", "b"},
        {"<|channel|>analysis", false,
         "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "a", "b"},
        {"<|channel|>analysis", false, "<|channel|>final<|message|>b", "", "b"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t size = 1; size < 40; size += 3) {
            answer a = {.marks = marks_of(rows[i].template), .thinking = rows[i].inside};
            for (size_t at = 0, n = strlen(rows[i].said); at < n; at += size)
                answer_add(&a, rows[i].said + at, n - at < size ? n - at : size, false, false);
            answer_end(&a, false);
            CHECK(holds(&a.thought, rows[i].thought));
            CHECK(holds(&a.text, rows[i].text));
            answer_free(&a);
        }
    }
    answer a = {0};
    answer_add(&a, "x", 1, false, false);
    answer_add(&a, "<|im_end|>", 10, true, false);
    CHECK(holds(&a.text, "x") && holds(&a.full, "x<|im_end|>"));
    answer_free(&a);
}

static void test_calls(void) {
    static const struct {
        bool bare;
        const char *said, *calls, *text; /* calls NULL: none */
    } rows[] = {
        {false, "Hi <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
         "[{\"name\":\"f\",\"arguments\":{\"a\": 1}}]", "Hi "},
        {false,
         "<tool_call>{\"name\":\"f\",\"arguments\":{}}</"
         "tool_call><tool_call>{\"name\":\"g\",\"arguments\":\"{\\\"b\\\":2}\"}</tool_call>",
         "[{\"name\":\"f\",\"arguments\":{}},{\"name\":\"g\",\"arguments\":{\"b\":2}}]", ""},
        {false,
         "<tool_call>\n<function=f>\n<parameter=a>\n5\n</parameter>\n<parameter=b>\nx "
         "\"y\"\n</parameter>\n</function>\n</tool_call>",
         "[{\"name\":\"f\",\"arguments\":{\"a\":5,\"b\":\"x \\\"y\\\"\"}}]", ""},
        {false, "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": [1]}}]",
         "[{\"name\":\"f\",\"arguments\":{\"a\": [1]}}]", ""},
        {false, "[TOOL_CALLS]f[ARGS]{\"a\": 1}", "[{\"name\":\"f\",\"arguments\":{\"a\": 1}}]", ""},
        {true, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "[{\"name\":\"f\",\"arguments\":{\"a\": 1}}]", ""},
        {false, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", NULL, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}"},
        {true, "{\"a\": 1}", NULL, "{\"a\": 1}"},
        {false, "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}", "[{\"name\":\"f\",\"arguments\":{}}]", ""},
        {false, "<|START_ACTION|>[{\"tool_call_id\": \"0\", \"tool_name\": \"f\", \"parameters\": {}}]<|END_ACTION|>",
         "[{\"name\":\"f\",\"arguments\":{}}]", ""},
        /* in tags, of several families; what is said to be a string stays one */
        {false,
         "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n<arg_key>b</arg_key>\n<arg_value>x y"
         "</arg_value>\n</tool_call>",
         "[{\"name\":\"f\",\"arguments\":{\"a\":1,\"b\":\"x y\"}}]", ""},
        {false,
         "So:<minimax:tool_call>\n<invoke name=\"f\">\n<parameter name=\"a\">[1]</parameter>\n</invoke>\n"
         "<invoke name=\"g\">\n</invoke>\n</minimax:tool_call>",
         "[{\"name\":\"f\",\"arguments\":{\"a\":[1]}},{\"name\":\"g\",\"arguments\":{}}]", "So:"},
        {false,
         "<\uFF5CDSML\uFF5Cfunction_calls>\n<\uFF5CDSML\uFF5Cinvoke name=\"f\">\n<\uFF5CDSML\uFF5Cparameter "
         "name=\"a\" string=\"true\">5</\uFF5CDSML\uFF5Cparameter>\n<\uFF5CDSML\uFF5Cparameter name=\"b\" "
         "string=\"false\">5</\uFF5CDSML\uFF5Cparameter>\n</\uFF5CDSML\uFF5Cinvoke>\n"
         "</\uFF5CDSML\uFF5Cfunction_calls>",
         "[{\"name\":\"f\",\"arguments\":{\"a\":\"5\",\"b\":5}}]", ""},
        {false,
         "<\uFF5Ctool\u2581call\u2581begin\uFF5C>function<\uFF5Ctool\u2581sep\uFF5C>f\n```json\n{\"a\": 1}\n```"
         "<\uFF5Ctool\u2581call\u2581end\uFF5C>\n<\uFF5Ctool\u2581call\u2581begin\uFF5C>g<\uFF5Ctool\u2581sep\uFF5C>{}"
         "<\uFF5Ctool\u2581call\u2581end\uFF5C>",
         "[{\"name\":\"f\",\"arguments\":{\"a\": 1}},{\"name\":\"g\",\"arguments\":{}}]", "\n"},
        {false, "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{\"a\": \"b:{\"}<|tool_call_end|>",
         "[{\"name\":\"f\",\"arguments\":{\"a\": \"b:{\"}}]", ""},
        {false, "<|tool_call_begin|>f<|tool_call_argument_begin|>{}<|tool_call_end|>",
         "[{\"name\":\"f\",\"arguments\":{}}]", ""},
        {false, "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\": 1}",
         "[{\"name\":\"f\",\"arguments\":{\"a\": 1}}]", "<|channel|>commentary "},
        {false, "it is sent to=functions.f or so", NULL, "it is sent to=functions.f or so"},
        {false,
         "<|tool_call_start|>[f(a='x\\'\\n\"', b=[1, -2.5e3, (True, None,)], c={'k': \"v\", }), m.g( "
         ")]<|tool_call_end|>!",
         "[{\"name\":\"f\",\"arguments\":{\"a\":\"x'\\n\\\"\",\"b\":[1,-2.5e3,[true,null]],\"c\":{\"k\":\"v\"}}},"
         "{\"name\":\"m.g\",\"arguments\":{}}]",
         "!"},
        {false, "<|python_tag|>search.call(query=\"a b\")",
         "[{\"name\":\"search.call\",\"arguments\":{\"query\":\"a b\"}}]", ""},
        {false, "<|python_tag|>print('x')", NULL, "<|python_tag|>print('x')"},
        {false, "<|tool_call_start|>[f(1)]<|tool_call_end|>", NULL, "<|tool_call_start|>[f(1)]<|tool_call_end|>"},
        {false, "<|tool_call_start|>[f(a=1, b=)]<|tool_call_end|>", NULL,
         "<|tool_call_start|>[f(a=1, b=)]<|tool_call_end|>"},
        {false, "<|tool_call_start|>[{\"name\": \"f\", \"arguments\": {}}]<|tool_call_end|>",
         "[{\"name\":\"f\",\"arguments\":{}}]", ""},
        {false, "<tool_call>{\"name\": \"f\"", NULL, "<tool_call>{\"name\": \"f\""},
        {false, "<tool_call>nonsense</tool_call>x", NULL, "<tool_call>nonsense</tool_call>x"},
        {false, "", NULL, ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        answer a = {0};
        char *out = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&out, &n);
        answer_add(&a, rows[i].said, strlen(rows[i].said), false, false);
        answer_end(&a, false);
        bool found = print_tool_calls(&a, rows[i].bare, f);
        fclose(f);
        bool same = found == (rows[i].calls != NULL) && strcmp(out, rows[i].calls ? rows[i].calls : "") == 0;
        if (!same) fprintf(stderr, "%s\n  gives %s\n", rows[i].said, out);
        CHECK(same);
        CHECK(holds(&a.text, rows[i].text));
        free(out);
        answer_free(&a);
    }
}

int main(void) {
    test_thinking();
    test_calls();
    return check_summary();
}
