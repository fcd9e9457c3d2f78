/* Traps 13, 19 and 29: invalid paths, dims, metrics, modes and options. A refused open changes nothing. argv[1] is
 * an empty directory to work in. */
#include "check.h"
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIM = 4 };

static const float ROW[DIM] = {1, 2, 3, 4};

static void refused(const char *path, uint32_t dim, const omen_store_options *options, int32_t status, const char *says)
{
    omen_store *const before = (omen_store *)(uintptr_t)7;
    omen_store *store = before;
    EXPECT(omen_store_open(path, dim, options, &store), status, says);
    ASSERT(store == before);
}

static void write_file(const char *path)
{
    FILE *file = fopen(path, "w");
    ASSERT(file != NULL && fputs("not ours", file) >= 0 && fclose(file) == 0);
}

static void file_is_untouched(const char *path)
{
    char text[16] = {0};
    FILE *file = fopen(path, "r");
    ASSERT(file != NULL && fread(text, 1, sizeof text, file) == 8 && fclose(file) == 0);
    ASSERT(strcmp(text, "not ours") == 0);
}

static int names_in(const char *path)
{
    int names = 0;
    DIR *directory = opendir(path);
    ASSERT(directory != NULL);
    while (readdir(directory) != NULL)
        names++;
    closedir(directory);
    return names - 2; /* . and .. */
}

static void paths(const char *directory)
{
    omen_store *store;
    const char *file = in(directory, "file"), *foreign = in(directory, "foreign");
    write_file(file);
    ASSERT(mkdir(foreign, 0755) == 0);
    write_file(in(foreign, "notes.txt"));

    refused(NULL, DIM, NULL, OMEN_NULL_POINTER, "path");
    refused("", DIM, NULL, OMEN_INVALID_ARGUMENT, "path");
    refused(in(directory, "not utf-8: \xff\xfe"), DIM, NULL, OMEN_INVALID_ARGUMENT, "UTF-8");
    EXPECT(omen_store_open(in(directory, "x"), DIM, NULL, NULL), OMEN_NULL_POINTER, "out");
    ASSERT(access(in(directory, "x"), F_OK) != 0);

    refused(in(directory, "no/such/parent"), DIM, NULL, OMEN_IO, "no/such/parent");
    refused(in(file, "below"), DIM, NULL, OMEN_IO, "below");
    refused("/proc/omen", DIM, NULL, OMEN_IO, "/proc/omen");
    refused(file, DIM, NULL, OMEN_NOT_A_STORE, "file");
    file_is_untouched(file);
    refused(foreign, DIM, NULL, OMEN_NOT_A_STORE, "notes.txt");
    ASSERT(names_in(foreign) == 1);
    file_is_untouched(in(foreign, "notes.txt"));

    ASSERT(mkdir(in(directory, "empty"), 0755) == 0);
    OK(omen_store_open(in(directory, "empty"), DIM, NULL, &store)); /* an empty directory may become a store */
    OK(omen_store_close(store));
    OK(omen_store_open(in(directory, "\xce\xbf\xce\xb9\xcf\x89\xce\xbd\xcf\x8c\xcf\x82"), DIM, NULL, &store));
    OK(omen_store_close(store));
}

/* Where the system refuses: a directory this user may not write, and a store this user may not read. Root may do both,
 * so root becomes nobody for as long as this takes. */
static void unwritable(const char *directory)
{
    enum { NOBODY = 65534 };
    const uid_t user = geteuid();
    omen_store_options options;
    omen_store *store;
    const char *sealed = in(directory, "sealed"), *foreign = in(directory, "not-mine");

    ASSERT(mkdir(sealed, 0755) == 0);
    OK(omen_store_open(foreign, DIM, NULL, &store));
    OK(omen_store_close(store));
    ASSERT(chmod(sealed, 0555) == 0 && chmod(foreign, 0555) == 0);
    if (user == 0)
        ASSERT(seteuid(NOBODY) == 0);
    else
        ASSERT(chmod(in(foreign, "LOCK"), 0) == 0);
    refused(in(sealed, "store"), DIM, NULL, OMEN_IO, "store");
    refused(sealed, DIM, NULL, OMEN_IO, "denied");
    refused(foreign, DIM, NULL, OMEN_IO, "denied");
    ASSERT(seteuid(user) == 0 && chmod(sealed, 0755) == 0 && chmod(foreign, 0755) == 0);
    ASSERT(chmod(in(foreign, "LOCK"), 0600) == 0);
    ASSERT(names_in(sealed) == 0);
    omen_store_options_init(&options);
    options.mode = OMEN_READ_WRITE;
    OK(omen_store_open(foreign, DIM, &options, &store));
    OK(omen_store_close(store));
}

/* Every file of a store is made with mode 0666 and the store with 0777, less the umask: other users may read where the
 * umask lets them. */
static void modes_of_files(const char *directory)
{
    static const mode_t masks[] = {0, 022, 077};
    size_t i;
    for (i = 0; i < COUNT(masks); i++) {
        const mode_t before = umask(masks[i]);
        const char *path;
        char name[16];
        omen_store *store;
        struct dirent *entry;
        struct stat found;
        DIR *files;
        int seen = 0;
        snprintf(name, sizeof name, "mask-%o", (unsigned)masks[i]);
        path = in(directory, name);
        OK(omen_store_open(path, DIM, NULL, &store));
        OK(omen_store_insert(store, NULL, ROW, 1, NULL));
        OK(omen_store_compact(store, NULL));
        ASSERT(stat(path, &found) == 0 && (found.st_mode & 0777) == (0777 & ~masks[i]));
        files = opendir(path);
        ASSERT(files != NULL);
        while ((entry = readdir(files)) != NULL) {
            if (entry->d_name[0] == '.')
                continue;
            ASSERT(fstatat(dirfd(files), entry->d_name, &found, 0) == 0);
            ASSERT((found.st_mode & 0777) == (0666 & ~masks[i]));
            seen++;
        }
        ASSERT(seen >= 4); /* the lock, two manifests and the rows */
        closedir(files);
        OK(omen_store_close(store));
        umask(before);
    }
}

static void dims_and_metrics(const char *directory)
{
    static const int32_t wrong[] = {-1, 4, 99, INT32_MAX, INT32_MIN};
    omen_store_options options;
    omen_store *store;
    const char *path = in(directory, "cosine");
    size_t i;

    refused(path, 0, NULL, OMEN_INVALID_ARGUMENT, "a dim of 1 to 65536 would create one");
    refused(path, 65537, NULL, OMEN_INVALID_ARGUMENT, "65537");
    refused(path, UINT32_MAX, NULL, OMEN_INVALID_ARGUMENT, "4294967295");
    for (i = 0; i < COUNT(wrong); i++) {
        char says[32];
        snprintf(says, sizeof says, "%d", (int)wrong[i]);
        omen_store_options_init(&options), options.metric = wrong[i];
        refused(path, DIM, &options, OMEN_INVALID_ARGUMENT, says);
        omen_store_options_init(&options), options.sync = wrong[i];
        refused(path, DIM, &options, OMEN_INVALID_ARGUMENT, says);
        omen_store_options_init(&options), options.mode = wrong[i];
        refused(path, DIM, &options, OMEN_INVALID_ARGUMENT, says);
    }
    omen_store_options_init(&options), options.metric = 7;
    refused(path, DIM, &options, OMEN_INVALID_ARGUMENT,
            "options: metric is 7; expected OMEN_L2, OMEN_INNER_PRODUCT or OMEN_COSINE");
    omen_store_options_init(&options), options.sync = 7;
    refused(path, DIM, &options, OMEN_INVALID_ARGUMENT,
            "options: sync is 7; expected OMEN_SYNC_COMMIT, OMEN_SYNC_EACH or OMEN_SYNC_NONE");
    omen_store_options_init(&options), options.mode = 7;
    refused(path, DIM, &options, OMEN_INVALID_ARGUMENT, "options: mode is 7; expected OMEN_READ_WRITE_CREATE, ");
    ASSERT(access(path, F_OK) != 0); /* none of them made a directory */

    omen_store_options_init(&options);
    ASSERT(options.struct_size == sizeof options && options.metric == OMEN_L2 && options.sync == OMEN_SYNC_COMMIT);
    ASSERT(options.mode == OMEN_READ_WRITE_CREATE && options.threads == 0);
    options.metric = OMEN_COSINE;
    OK(omen_store_open(path, DIM, &options, &store));
    OK(omen_store_insert(store, NULL, ROW, 1, NULL));
    OK(omen_store_close(store));

    refused(path, DIM + 1, NULL, OMEN_DIM_MISMATCH, "dim: the store has 4, the call asks for 5");
    options.metric = OMEN_L2;
    refused(path, DIM, &options, OMEN_METRIC_MISMATCH, "metric: the store has cosine, the call asks for l2");
    OK(omen_store_open(path, 0, NULL, &store)); /* no opinion: what the store has */
    ASSERT(omen_store_dim(store) == DIM);
    OK(omen_store_close(store));
}

static void modes(const char *directory)
{
    omen_store_options options;
    omen_store *store, *reader;
    const char *path = in(directory, "modes");
    uint64_t id = 0, n = 0;
    float row[DIM];
    omen_compress_report report;
    struct omen_store_stats stats;

    omen_store_options_init(&options);
    options.mode = OMEN_READ_WRITE;
    refused(path, DIM, &options, OMEN_NOT_A_STORE, "modes");
    options.mode = OMEN_READ_ONLY;
    refused(path, DIM, &options, OMEN_NOT_A_STORE, "modes");
    ASSERT(access(path, F_OK) != 0);
    options.mode = OMEN_CREATE_NEW;
    OK(omen_store_open(path, DIM, &options, &store));
    OK(omen_store_insert(store, &id, ROW, 1, NULL));
    OK(omen_store_commit(store));

    options.mode = OMEN_READ_ONLY; /* beside the writer */
    OK(omen_store_open(path, DIM, &options, &reader));
    OK(omen_store_get(reader, &id, 1, row, NULL));
    ASSERT(memcmp(row, ROW, sizeof row) == 0);
    report.struct_size = sizeof report;
    EXPECT(omen_store_insert(reader, NULL, row, 1, NULL), OMEN_IS_READ_ONLY, "read-only");
    EXPECT(omen_store_upsert(reader, &id, row, 1), OMEN_IS_READ_ONLY, "read-only");
    EXPECT(omen_store_delete(reader, &id, 1, &n), OMEN_IS_READ_ONLY, "read-only");
    EXPECT(omen_store_commit(reader), OMEN_IS_READ_ONLY, "read-only");
    EXPECT(omen_store_compact(reader, NULL), OMEN_IS_READ_ONLY, "read-only");
    EXPECT(omen_store_compress(reader, NULL, &report), OMEN_IS_READ_ONLY, "read-only");
    EXPECT(omen_store_refresh(reader), OMEN_UNSUPPORTED, "refresh");
    EXPECT(omen_store_backup(store, in(directory, "copy"), NULL), OMEN_UNSUPPORTED, "backup");
    ASSERT(access(in(directory, "copy"), F_OK) != 0);
    OK(omen_store_close(store));
    OK(omen_store_get(reader, &id, 1, row, NULL)); /* goes on without the writer */
    stats.struct_size = sizeof stats;
    OK(omen_store_stats(reader, &stats));
    ASSERT(stats.vectors == 1 && stats.dim == DIM && stats.metric == OMEN_L2 && stats.raw_bytes == sizeof row);
    OK(omen_store_close(reader));

    options.mode = OMEN_CREATE_NEW;
    refused(path, DIM, &options, OMEN_INVALID_ARGUMENT, "exists");
    options.mode = OMEN_READ_WRITE;
    OK(omen_store_open(path, DIM, &options, &store));
    OK(omen_store_count(store, &n));
    ASSERT(n == 1);
    OK(omen_store_close(store));
}

static void many(const char *directory)
{
    enum { MANY = 64 };
    omen_store *stores[MANY];
    char name[32];
    int i, j;
    for (i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "many-%d", i);
        OK(omen_store_open(in(directory, name), (uint32_t)i + 1, NULL, &stores[i]));
        for (j = 0; j < i; j++)
            ASSERT(stores[i] != stores[j]);
    }
    for (i = 0; i < MANY; i++) {
        ASSERT(omen_store_dim(stores[i]) == (uint32_t)i + 1);
        OK(omen_store_close(stores[i]));
    }
}

int main(int argc, char **argv)
{
    ASSERT(argc == 2);
    paths(argv[1]);
    dims_and_metrics(argv[1]);
    modes(argv[1]);
    unwritable(argv[1]);
    modes_of_files(argv[1]);
    many(argv[1]);
    puts("opening: refused");
    return EXIT_SUCCESS;
}
