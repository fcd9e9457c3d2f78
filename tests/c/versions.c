/* The versions of the header are those of the linked library. */
#include <omen.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    char version[64];
    sprintf(version, "%d.%d.%d", OMEN_VERSION_MAJOR, OMEN_VERSION_MINOR, OMEN_VERSION_PATCH);
    printf("header %s, ABI %d; library %s, ABI %d\n", version, OMEN_ABI_VERSION, omen_version(), (int)omen_abi_version());
    return strcmp(version, omen_version()) != 0 || omen_abi_version() != OMEN_ABI_VERSION;
}
