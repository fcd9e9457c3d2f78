/* A process that forks while it has a store open: the lock stays with the parent, and ends when the parent releases
 * it. argv[1] is an empty directory to work in. */
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

enum { DIM = 4 };

static const float ROW[DIM] = {1, 2, 3, 4};

/* A child that waits in `read` until the write end of the pipe is closed. */
static pid_t waiting_child(int pipe_ends[2])
{
    ASSERT(pipe(pipe_ends) == 0);
    const pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0) {
        char byte;
        close(pipe_ends[1]);
        _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(pipe_ends[0]);
    return child;
}

static void child_ended_well(pid_t child)
{
    int status = 0;
    ASSERT(waitpid(child, &status, 0) == child);
    ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The child holds a copy of every descriptor; a closed store is free all the same. */
static void a_child_does_not_keep_the_lock(const char *path)
{
    omen_store *store = NULL;
    int pipe_ends[2];
    OK(omen_store_open(path, DIM, NULL, &store));
    const pid_t child = waiting_child(pipe_ends);
    OK(omen_store_close(store));
    OK(omen_store_open(path, DIM, NULL, &store));
    OK(omen_store_close(store));
    close(pipe_ends[1]);
    child_ended_well(child);
}

/* The message that a child of `parent` gets when it writes to the store at `path`. */
static const char *says_who_forked(const char *path, pid_t parent)
{
    static char text[2048];
    snprintf(text, sizeof text,
             "%s is locked: process %d opened the store for writing, and this process (%d) is a fork of it; write in "
             "process %d, or open the store anew here once it is closed there",
             path, (int)parent, (int)getpid(), (int)parent);
    return text;
}

/* The child may read what the parent had; it can neither write nor give the parent's lock away. */
static void a_child_cannot_write(const char *path)
{
    omen_store *store = NULL, *other = NULL;
    uint64_t id = 1, count = 0;
    float row[DIM];
    OK(omen_store_open(path, DIM, NULL, &store));
    OK(omen_store_insert(store, NULL, ROW, 1, NULL));
    const pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0) {
        id = 0;
        OK(omen_store_get(store, &id, 1, row, NULL));
        ASSERT(memcmp(row, ROW, sizeof row) == 0);
        EXPECT(omen_store_commit(store), OMEN_LOCKED, says_who_forked(path, getppid()));
        EXPECT(omen_store_insert(store, NULL, ROW, 1, NULL), OMEN_POISONED, "fork");
        EXPECT(omen_store_close(store), OMEN_POISONED, "fork");
        exit(EXIT_SUCCESS);
    }
    child_ended_well(child);
    EXPECT(omen_store_open(path, DIM, NULL, &other), OMEN_LOCKED,
           "is locked: another handle or process has the store open for writing; close it there, or open the store "
           "read-only here");
    OK(omen_store_insert(store, NULL, ROW, 1, &id));
    ASSERT(id == 1);
    OK(omen_store_commit(store));
    OK(omen_store_close(store));
    OK(omen_store_open(path, DIM, NULL, &store));
    OK(omen_store_count(store, &count));
    ASSERT(count == 2);
    OK(omen_store_close(store));
}

/* Nor does a child make the file that the parent's first write makes. */
static void a_child_begins_no_log(const char *path)
{
    omen_store *store = NULL;
    OK(omen_store_open(path, DIM, NULL, &store));
    const pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0) {
        EXPECT(omen_store_insert(store, NULL, ROW, 1, NULL), OMEN_LOCKED, "fork");
        EXPECT(omen_store_insert(store, NULL, ROW, 1, NULL), OMEN_POISONED, "fork");
        exit(EXIT_SUCCESS);
    }
    child_ended_well(child);
    OK(omen_store_insert(store, NULL, ROW, 1, NULL));
    OK(omen_store_close(store));
}

int main(int argc, char **argv)
{
    ASSERT(argc == 2);
    a_child_does_not_keep_the_lock(in(argv[1], "closed"));
    a_child_cannot_write(in(argv[1], "shared"));
    a_child_begins_no_log(in(argv[1], "new"));
    puts("fork: the lock stays where it is");
    return EXIT_SUCCESS;
}
