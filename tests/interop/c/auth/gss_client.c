/* RPCSEC_GSS calls by libtirpc, or with -DGSSRPC by MIT's libgssrpc.
 * usage: gss_client udp|tcp PORT SERVICE@HOST krb5|krb5i|krb5p CALLS; prints what procedure 1 returns */
#ifdef GSSRPC
#include <gssrpc/rpc.h>
#include <gssrpc/auth_gss.h>
#else
#include <rpc/rpc.h>
#include <rpc/auth_gss.h>
#endif
#include <arpa/inet.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static AUTH *authenticate(CLIENT *client, char *service, struct rpc_gss_sec *sec) {
#ifdef GSSRPC
    gss_buffer_desc text = {strlen(service), service};
    gss_name_t name;
    OM_uint32 minor;
    if (gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name))
        return NULL;
    return authgss_create(client, name, sec);
#else
    return authgss_create_default(client, service, sec);
#endif
}

int main(int argc, char **argv) {
    if (argc != 6)
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
    struct rpc_gss_sec sec = {.mech = (gss_OID)gss_mech_krb5, .qop = GSS_C_QOP_DEFAULT, .cred = GSS_C_NO_CREDENTIAL};
    sec.req_flags = GSS_C_MUTUAL_FLAG;
    sec.svc = !strcmp(argv[4], "krb5p")   ? RPCSEC_GSS_SVC_PRIVACY
              : !strcmp(argv[4], "krb5i") ? RPCSEC_GSS_SVC_INTEGRITY
                                          : RPCSEC_GSS_SVC_NONE;
    client->cl_auth = authenticate(client, argv[3], &sec);
    if (!client->cl_auth) {
        clnt_pcreateerror("authenticate");
        return 1;
    }
    for (int i = 0; i < atoi(argv[5]); i++) {
        char *result = NULL;
        if (clnt_call(client, 1, (xdrproc_t)xdr_void, NULL, (xdrproc_t)xdr_wrapstring, (void *)&result, limit)) {
            clnt_perror(client, "call");
            return 1;
        }
        puts(result);
    }
    AUTH_DESTROY(client->cl_auth);
    clnt_destroy(client);
    return 0;
}
