/* RPCSEC_GSS server by libtirpc, or with -DGSSRPC by MIT's libgssrpc. Procedure 1 returns a greeting, procedure 2
 * its argument (a string). usage: gss_server udp|tcp SERVICE@HOST; prints its port; ends when stdin does */
#ifdef GSSRPC
#include <gssrpc/rpc.h>
#include <gssrpc/auth_gss.h>
#else
#include <rpc/rpc.h>
#include <rpc/auth_gss.h>
#include <rpc/svc_auth.h>
extern bool_t svcauth_gss_set_svc_name(gss_name_t);
#endif
#include <gssapi/gssapi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void serve(struct svc_req *request, SVCXPRT *transport) {
    char *text = NULL;
    switch (request->rq_proc) {
    case 0:
        svc_sendreply(transport, (xdrproc_t)xdr_void, NULL);
        return;
    case 1:
        text = "hello from C";
        if (request->rq_cred.oa_flavor != 6)
            svcerr_weakauth(transport);
        else if (!svc_getargs(transport, (xdrproc_t)xdr_void, NULL))
            svcerr_decode(transport);
        else
            svc_sendreply(transport, (xdrproc_t)xdr_wrapstring, (void *)&text);
        return;
    case 2:
        if (!svc_getargs(transport, (xdrproc_t)xdr_wrapstring, (void *)&text)) {
            svcerr_decode(transport);
            return;
        }
        svc_sendreply(transport, (xdrproc_t)xdr_wrapstring, (void *)&text);
        free(text);
        return;
    default:
        svcerr_noproc(transport);
    }
}

static void *end_with_stdin(void *unused) {
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    SVCXPRT *transport = strcmp(argv[1], "tcp") ? svcudp_create(RPC_ANYSOCK) : svctcp_create(RPC_ANYSOCK, 0, 0);
    gss_buffer_desc text = {strlen(argv[2]), argv[2]};
    gss_name_t name;
    OM_uint32 minor;
    if (!transport || !svc_register(transport, 0x20000099, 1, serve, 0)
        || gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name) || !svcauth_gss_set_svc_name(name))
        return 1;
    printf("%d\n", transport->xp_port);
    fflush(stdout);
    pthread_t watcher;
    pthread_create(&watcher, NULL, end_with_stdin, NULL);
    svc_run();
    return 1;
}
