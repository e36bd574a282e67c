/* Declarations for the Sun RPC code that glibc still exports, to old binaries only, as name@GLIBC_2.2.5.
 * Only what the test peers use; written from the ABI, not taken from a header. */
#ifndef GLIBC_SUNRPC_H
#define GLIBC_SUNRPC_H
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/types.h>

typedef int bool_t;
typedef struct XDR XDR;
typedef bool_t (*xdrproc_t)();
typedef struct { uint8_t c[8]; } __attribute__((aligned(4))) des_block;
struct opaque_auth { int flavor; char *base; unsigned len; };
struct netobj { unsigned len; char *bytes; };

typedef struct AUTH AUTH;
typedef struct CLIENT CLIENT;
struct client_ops {
    int (*call)(CLIENT *, unsigned long, xdrproc_t, void *, xdrproc_t, void *, struct timeval);
    void *rest[5];
};
struct CLIENT { AUTH *auth; struct client_ops *ops; void *private; };
typedef struct SVCXPRT { int sock; uint16_t port; } SVCXPRT; /* its beginning */
struct svc_req { unsigned long prog, vers, proc; struct opaque_auth cred; void *clntcred; SVCXPRT *xprt; };
struct authdes_cred {
    int namekind;
    struct { char *name; des_block key; uint32_t window; } full;
    uint32_t nickname;
};

AUTH *authdes_pk_create(const char *, struct netobj *, unsigned, struct sockaddr *, des_block *);
AUTH *authunix_create_default(void);
CLIENT *clntudp_create(struct sockaddr_in *, unsigned long, unsigned long, struct timeval, int *);
CLIENT *clnttcp_create(struct sockaddr_in *, unsigned long, unsigned long, int *, unsigned, unsigned);
void clnt_perror(CLIENT *, const char *), clnt_pcreateerror(const char *);
SVCXPRT *svcudp_create(int), *svctcp_create(int, unsigned, unsigned);
int svc_register(SVCXPRT *, unsigned long, unsigned long, void (*)(struct svc_req *, SVCXPRT *), unsigned long);
void svc_run(void), svcerr_weakauth(SVCXPRT *);
bool_t svc_sendreply(SVCXPRT *, xdrproc_t, void *);
bool_t xdr_void(), xdr_wrapstring();
int authdes_getucred(const struct authdes_cred *, uid_t *, gid_t *, short *, gid_t *);
int __nss_configure_lookup(const char *database, const char *services);

#define OLD(name) __asm__(".symver " #name "," #name "@GLIBC_2.2.5")
OLD(authdes_pk_create); OLD(authunix_create_default); OLD(clntudp_create); OLD(clnttcp_create); OLD(clnt_perror);
OLD(clnt_pcreateerror); OLD(svcudp_create); OLD(svctcp_create); OLD(svc_register); OLD(svc_run); OLD(svcerr_weakauth);
OLD(svc_sendreply); OLD(xdr_void); OLD(xdr_wrapstring); OLD(authdes_getucred);
#endif
