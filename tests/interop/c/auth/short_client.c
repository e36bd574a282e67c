/* AUTH_SYS calls over TCP by a client that takes shorthands: libtirpc, or with -DGLIBC glibc's own Sun RPC.
 * usage: short_client PORT CALLS */
#ifdef GLIBC
#include "glibc_sunrpc.h"
#define CALL(client) (client)->ops->call(client, 1, (xdrproc_t)xdr_void, 0, (xdrproc_t)xdr_wrapstring, &result, limit)
#define AUTH_OF(client) (client)->auth
#else
#include <rpc/rpc.h>
#define CALL(client) clnt_call(client, 1, (xdrproc_t)xdr_void, 0, (xdrproc_t)xdr_wrapstring, (char *)&result, limit)
#define AUTH_OF(client) (client)->cl_auth
#endif
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = {20, 0};
    int fd = -1;
    CLIENT *client = clnttcp_create(&to, 0x20000099, 1, &fd, 0, 0);
    if (!client) {
        clnt_pcreateerror("create");
        return 1;
    }
    AUTH_OF(client) = authunix_create_default();
    for (int i = 0; i < atoi(argv[2]); i++) {
        char *result = NULL;
        if (CALL(client)) {
            clnt_perror(client, "call");
            return 1;
        }
        puts(result);
    }
    return 0;
}
