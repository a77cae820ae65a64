/* The tests' whole framework: a condition that does not hold is printed with its place and makes the program fail. */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <stdio.h>

static int checks_made, checks_failed;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        checks_made++;                                                                                                 \
        if (!(condition)) {                                                                                            \
            checks_failed++;                                                                                           \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
        }                                                                                                              \
    } while (0)

/* For main to return: a test that checked nothing has failed too. */
static inline int check_summary(void) {
    printf("%d checks, %d failed\n", checks_made, checks_failed);
    return checks_made == 0 || checks_failed > 0;
}

#endif
