/* authload: calls of one client by libtirpc, one after the other, for some seconds; prints how many.
 * usage: authload udp|tcp PORT none|sys|krb5|krb5i|krb5p SECONDS BYTES */
#include <arpa/inet.h>
#include <gssapi/gssapi_krb5.h>
#include <rpc/rpc.h>
#include <rpc/auth_gss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static AUTH *authenticate(CLIENT *client, const char *flavour) {
	if (!strcmp(flavour, "none"))
		return authnone_create();
	if (!strcmp(flavour, "sys"))
		return authunix_create_default();
	struct rpc_gss_sec sec = {.mech = (gss_OID)gss_mech_krb5, .qop = GSS_C_QOP_DEFAULT, .cred = GSS_C_NO_CREDENTIAL};
	sec.req_flags = GSS_C_MUTUAL_FLAG;
	sec.svc = !strcmp(flavour, "krb5p")   ? RPCSEC_GSS_SVC_PRIVACY
		  : !strcmp(flavour, "krb5i") ? RPCSEC_GSS_SVC_INTEGRITY
					      : RPCSEC_GSS_SVC_NONE;
	return authgss_create_default(client, "nfs@localhost", &sec);
}

int main(int argc, char **argv) {
	if (argc != 6)
		return 2;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct timeval again = {1, 0}, limit = {20, 0};
	int fd = -1;
	CLIENT *client = strcmp(argv[1], "tcp") ? clntudp_create(&to, 0x20000099, 1, again, &fd)
						: clnttcp_create(&to, 0x20000099, 1, &fd, 0, 0);
	if (!client || !(client->cl_auth = authenticate(client, argv[3]))) {
		clnt_pcreateerror("authload");
		return 1;
	}
	char *text = calloc(1, atoi(argv[5]) + 1);
	memset(text, 'x', atoi(argv[5]));
	double end = now() + atof(argv[4]);
	long calls = 0;
	for (; now() < end; calls++) {
		char *result = NULL;
		if (clnt_call(client, 2, (xdrproc_t)xdr_wrapstring, (void *)&text, (xdrproc_t)xdr_wrapstring,
			      (void *)&result, limit)) {
			clnt_perror(client, "authload");
			return 1;
		}
		free(result);
	}
	AUTH_DESTROY(client->cl_auth);
	printf("%ld\n", calls);
	return 0;
}
