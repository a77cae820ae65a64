/* A chat's messages and their files. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/conversation.h"
#include "tests/unit/check.h"

static bool write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

static bool is(const message *m, const char *role, const char *content) {
    return strcmp(m->role, role) == 0 && m->n == strlen(content) && strcmp(m->content, content) == 0;
}

static void test_conversation(void) {
    conversation c = {0};
    CHECK(conversation_add(&c, "user", "a \"b\"\n\xC3\xBC", 8, NULL, 0, NULL) && c.items[0].n == 8);
    CHECK(conversation_add(&c, "assistant", "no", 2, "hm", 2, NULL) && !conversation_system(&c));
    CHECK(conversation_set_system(&c, "be kind", 7, NULL) && conversation_set_system(&c, "be brief", 8, NULL));
    CHECK(c.n == 3 && is(conversation_system(&c), "system", "be brief"));
    char path[] = "/tmp/gguf-conversation-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK(conversation_save(&c, path, NULL));
    conversation d = {0};
    size_t n_dropped = 9;
    CHECK(conversation_load(&d, path, &n_dropped, NULL) && n_dropped == 0 && d.n == 3);
    CHECK(is(&d.items[1], "user", "a \"b\"\n\xC3\xBC") && d.items[1].thinking == NULL);
    CHECK(is(&d.items[2], "assistant", "no") && strcmp(d.items[2].thinking, "hm") == 0);

    CHECK(write_text(
        path,
        " {\"tools\": [], \"messages\": [{\"content\": \"x\", \"role\": \"user\", \"name\": 1}, {\"role\": \"tool\","
        " \"content\": \"\"}]} "));
    CHECK(conversation_load(&d, path, &n_dropped, NULL) && n_dropped == 1 && d.n == 2 && is(&d.items[1], "tool", ""));
    static const char *const bad[] = {"",
                                      "{}",
                                      "[",
                                      "[]x",
                                      "[1]",
                                      "[{}]",
                                      "[{\"role\": \"user\"}]",
                                      "[{\"role\": \"user\", \"content\": null}]",
                                      "[{\"role\": 1, \"content\": \"x\"}]",
                                      "[{\"role\": \"a\\u0000b\", \"content\": \"x\"}]",
                                      "[{\"role\": \"user\", \"content\": \"x\"},]",
                                      "{\"messages\": {}}",
                                      "nonsense"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_error err = {0};
        CHECK(write_text(path, bad[i]));
        CHECK(!conversation_load(&d, path, &n_dropped, &err) && err.code == GGUF_ERR_USAGE);
        CHECK(strstr(err.message, path) != NULL);
        CHECK(d.n == 2); /* as it was */
    }
    unlink(path);
    CHECK(!conversation_load(&d, path, &n_dropped, NULL) && !conversation_save(&c, "/no/such/folder/x", NULL));
    message last = conversation_pop(&c);
    CHECK(is(&last, "assistant", "no") && conversation_push(&d, last, NULL) && d.n == 3);
    conversation_free(&c);
    conversation_free(&d);
}

int main(void) {
    test_conversation();
    return check_summary();
}
