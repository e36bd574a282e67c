/* AUTH_DES server by glibc's own Sun RPC: procedure 1 says who calls. Its keys are with the keyserv, its callers'
 * in the file that nss_test.c reads. usage: des_server udp|tcp; prints its port; ends when stdin does */
#include "glibc_sunrpc.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void serve(struct svc_req *request, SVCXPRT *transport) {
    static char text[600];
    char *result = text;
    if (request->prog && request->proc == 0) {
        svc_sendreply(transport, (xdrproc_t)xdr_void, NULL);
        return;
    }
    if (request->cred.flavor != 3) {
        svcerr_weakauth(transport);
        return;
    }
    struct authdes_cred *cred = request->clntcred;
    uid_t uid = -1;
    gid_t gid = -1, groups[16];
    short count = 0;
    authdes_getucred(cred, &uid, &gid, &count, groups);
    snprintf(text, sizeof text, "%s window %u uid %d gid %d", cred->full.name, cred->full.window, (int)uid, (int)gid);
    svc_sendreply(transport, (xdrproc_t)xdr_wrapstring, &result);
}

static void *end_with_stdin(void *unused) {
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    __nss_configure_lookup("publickey", "test");
    SVCXPRT *transport = strcmp(argv[1], "tcp") ? svcudp_create(-1) : svctcp_create(-1, 0, 0);
    if (!transport || !svc_register(transport, 0x20000099, 1, serve, 0))
        return 1;
    printf("%d\n", transport->port);
    fflush(stdout);
    pthread_t watcher;
    pthread_create(&watcher, NULL, end_with_stdin, NULL);
    svc_run();
    return 1;
}
