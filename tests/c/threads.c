/* Trap 29: a handle is closed while other threads use it. Their calls finish on the store or find it closed; a
 * message belongs to the thread whose call failed. argv[1] is an empty directory to work in. */
#include "check.h"
#include <pthread.h>

enum { DIM = 16, N = 64, THREADS = 6, ROUNDS = 10 };

static float rows[N][DIM];

struct worker {
    pthread_t thread;
    omen_store *store;
    uint64_t number, done;
    int writes;
};

static void finds_it_gone(const struct worker *worker)
{
    uint64_t n;
    char own[64];
    ASSERT(omen_store_dim(worker->store) == 0);
    EXPECT(omen_store_count(worker->store, &n), OMEN_INVALID_HANDLE, "the store is closed");
    snprintf(own, sizeof own, "%#llx", (unsigned long long)(0xdead0000 + worker->number));
    EXPECT(omen_store_count((omen_store *)(uintptr_t)(0xdead0000 + worker->number), &n), OMEN_INVALID_HANDLE, own);
}

static void *reads(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    uint64_t id = worker->number % N;
    float row[DIM];
    int32_t status;
    while ((status = omen_store_get(worker->store, &id, 1, row, NULL)) == OMEN_OK) {
        ASSERT(memcmp(row, rows[id], sizeof row) == 0);
        id = (id + 1) % N;
        worker->done++;
    }
    EXPECT(status, OMEN_INVALID_HANDLE, "the store is closed");
    finds_it_gone(worker);
    return NULL;
}

static void *writes(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    uint64_t id = 1000 + worker->number;
    int32_t status;
    while ((status = omen_store_upsert(worker->store, &id, rows[id % N], 1)) == OMEN_OK) {
        id += THREADS;
        worker->done++;
    }
    /* a call that was under way finds the store closed; a later one finds no handle */
    ASSERT(status == OMEN_INVALID_HANDLE);
    finds_it_gone(worker);
    return NULL;
}

/* Closes a handle that `THREADS` threads use, opens the store again, and finds every write that was acknowledged. */
static void close_under_them(const char *path, int round)
{
    struct worker workers[THREADS];
    omen_store *store;
    uint64_t id, i, n;
    float row[DIM];
    int t;

    OK(omen_store_open(path, DIM, NULL, &store));
    OK(omen_store_upsert(store, (uint64_t[]){0}, rows[0], 1));
    for (i = 0; i < N; i++)
        OK(omen_store_upsert(store, &i, rows[i], 1));
    for (t = 0; t < THREADS; t++) {
        memset(&workers[t], 0, sizeof workers[t]);
        workers[t].store = store, workers[t].number = (uint64_t)t, workers[t].writes = t % 3 == 0;
        ASSERT(pthread_create(&workers[t].thread, NULL, workers[t].writes ? writes : reads, &workers[t]) == 0);
    }
    for (i = 0; i < (uint64_t)round * 200; i++)
        OK(omen_store_count(store, &n));
    OK(omen_store_close(store));
    EXPECT(omen_store_close(store), OMEN_INVALID_HANDLE, "the store is closed");
    for (t = 0; t < THREADS; t++)
        ASSERT(pthread_join(workers[t].thread, NULL) == 0);

    OK(omen_store_open(path, DIM, NULL, &store));
    for (t = 0; t < THREADS; t++)
        for (i = 0; workers[t].writes && i < workers[t].done; i++) {
            id = 1000 + workers[t].number + i * THREADS;
            OK(omen_store_get(store, &id, 1, row, NULL));
            ASSERT(memcmp(row, rows[id % N], sizeof row) == 0);
        }
    OK(omen_store_close(store));
}

/* Two threads close the same handle: one does, one finds it closed. */
static void *closes(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    worker->done = omen_store_close(worker->store) == OMEN_OK;
    return NULL;
}

static void close_twice(const char *path)
{
    struct worker a, b;
    omen_store *store;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        OK(omen_store_open(path, DIM, NULL, &store));
        a.store = b.store = store;
        ASSERT(pthread_create(&a.thread, NULL, closes, &a) == 0 && pthread_create(&b.thread, NULL, closes, &b) == 0);
        ASSERT(pthread_join(a.thread, NULL) == 0 && pthread_join(b.thread, NULL) == 0);
        ASSERT(a.done + b.done == 1);
    }
}

int main(int argc, char **argv)
{
    int i, j, round;
    char name[32];
    ASSERT(argc == 2);
    for (i = 0; i < N; i++)
        for (j = 0; j < DIM; j++)
            rows[i][j] = (float)(i * DIM + j);
    for (round = 0; round < ROUNDS; round++) {
        snprintf(name, sizeof name, "round-%d", round);
        close_under_them(in(argv[1], name), round);
    }
    close_twice(in(argv[1], "twice"));
    ASSERT(omen_last_message()[0] != '\0');
    puts("threads: finished");
    return EXIT_SUCCESS;
}
