/* A library of another VERSION and ABI: the functions that a program calls before it trusts the library. */
#include <omen.h>

const char *omen_version(void) { return VERSION; }
uint32_t omen_abi_version(void) { return ABI; }
const char *omen_status_name(int32_t status) { return status == OMEN_UNSUPPORTED ? "OMEN_UNSUPPORTED" : "OMEN_?"; }
const char *omen_last_message(void) { return "this is the other library"; }
int32_t omen_store_close(struct omen_store *store) { return store == NULL ? OMEN_OK : OMEN_PANIC; }
uint32_t omen_store_dim(const struct omen_store *store) { return store != NULL; }

/* A newer one has longer options. */
void omen_store_options_init(struct omen_store_options *options)
{
    unsigned char *bytes = (unsigned char *)options;
    size_t i;
    for (i = 0; i < 1024; i++) bytes[i] = 0xff;
}

int32_t omen_store_open(const char *path, uint32_t dim, const struct omen_store_options *options, struct omen_store **out)
{
    (void)out;
    return path != NULL && dim != 0 && options->struct_size == sizeof *options ? OMEN_PANIC : OMEN_OK;
}
