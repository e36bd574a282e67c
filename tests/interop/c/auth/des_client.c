/* AUTH_DES calls by glibc's own Sun RPC; the conversation key is fixed, the rest comes from the keyserv.
 * usage: des_client udp|tcp PORT SERVER-NETNAME SERVER-PUBLIC-KEY WINDOW CALLS; prints what procedure 1 returns */
#include "glibc_sunrpc.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc != 7)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval again = {5, 0}, limit = {30, 0};
    int fd = -1;
    CLIENT *client = strcmp(argv[1], "tcp") ? clntudp_create(&to, 0x20000099, 1, again, &fd)
                                            : clnttcp_create(&to, 0x20000099, 1, &fd, 0, 0);
    if (!client) {
        clnt_pcreateerror("create");
        return 1;
    }
    struct netobj public = {strlen(argv[4]) + 1, argv[4]};
    des_block key = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}};
    client->auth = authdes_pk_create(argv[3], &public, atoi(argv[5]), NULL, &key);
    if (!client->auth) {
        fputs("authdes_pk_create failed\n", stderr);
        return 1;
    }
    for (int i = 0; i < atoi(argv[6]); i++) {
        char *result = NULL;
        if (client->ops->call(client, 1, (xdrproc_t)xdr_void, NULL, (xdrproc_t)xdr_wrapstring, &result, limit)) {
            clnt_perror(client, "call");
            return 1;
        }
        puts(result);
    }
    return 0;
}
