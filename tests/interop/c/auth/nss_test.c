/* A name service for glibc with public keys out of the file $NSS_TEST_KEYS (lines of "netname key"): glibc's own
 * "files" service no longer has them. Built as libnss_test.so.2. */
#include <nss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum nss_status _nss_test_getpublickey(const char *netname, char *key, int *error) {
    char name[300], value[300];
    enum nss_status found = NSS_STATUS_NOTFOUND;
    FILE *file = fopen(getenv("NSS_TEST_KEYS"), "r");
    if (!file)
        return NSS_STATUS_UNAVAIL;
    while (found != NSS_STATUS_SUCCESS && fscanf(file, "%299s %299s", name, value) == 2)
        if (!strcmp(name, netname)) {
            value[48] = 0;
            strcpy(key, value);
            found = NSS_STATUS_SUCCESS;
        }
    fclose(file);
    return found;
}

enum nss_status _nss_test_netname2user(char *netname, uid_t *uid, gid_t *gid, int *count, gid_t *groups, int *error) {
    unsigned number;
    if (sscanf(netname, "unix.%u@", &number) != 1)
        return NSS_STATUS_NOTFOUND;
    *uid = number;
    *gid = number + 1;
    *count = 0;
    return NSS_STATUS_SUCCESS;
}
