/* Shared by the C programs of the tests: checks the status of a call and the words of its message. */
#ifndef CHECK_H
#define CHECK_H

#include <omen.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* `says` is a part of the message that a failure must leave; a failure without one is a failure of the test. */
#define EXPECT(call, status, says) check_status((call), (status), (says), #call, __FILE__, __LINE__)
#define OK(call) EXPECT(call, OMEN_OK, NULL)
#define ASSERT(fact) check_fact((fact) != 0, #fact, __FILE__, __LINE__)

static void check_fact(int fact, const char *what, const char *file, int line)
{
    if (!fact) {
        fprintf(stderr, "%s:%d: not so: %s (last message: %s)\n", file, line, what, omen_last_message());
        exit(EXIT_FAILURE);
    }
}

static void check_status(int32_t found, int32_t expected, const char *says, const char *what, const char *file,
                         int line)
{
    const char *message = omen_last_message();
    if (found != expected) {
        fprintf(stderr, "%s:%d: %s: found %s, expected %s (last message: %s)\n", file, line, what,
                omen_status_name(found), omen_status_name(expected), message);
        exit(EXIT_FAILURE);
    }
    if (found != OMEN_OK && (message[0] == '\0' || (says != NULL && strstr(message, says) == NULL))) {
        fprintf(stderr, "%s:%d: %s: the message \"%s\" does not say \"%s\"\n", file, line, what, message,
                says != NULL ? says : "anything");
        exit(EXIT_FAILURE);
    }
}

/* `directory/name`, in a buffer of its own for each use. */
static const char *in(const char *directory, const char *name)
{
    static char buffers[8][1024];
    static int next;
    char *buffer = buffers[next++ % 8];
    snprintf(buffer, sizeof buffers[0], "%s/%s", directory, name);
    return buffer;
}

#endif
