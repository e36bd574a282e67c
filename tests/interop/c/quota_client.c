/* quota_client PORT PATH UID...: asks for quotas, by what rpcgen makes of the system's rquota.x. A line for each. */
#include "rquota.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
	struct timeval again = {.tv_sec = 5};
	int sock = RPC_ANYSOCK;
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	CLIENT *c = clntudp_create(&to, RQUOTAPROG, RQUOTAVERS, again, &sock);
	if (!c) {
		clnt_pcreateerror("quota_client");
		return 1;
	}
	c->cl_auth = authunix_create("here", 1000, 100, 0, 0);
	for (int i = 3; i < argc; i++) {
		getquota_args asked = {.gqa_pathp = argv[2], .gqa_uid = atoi(argv[i])};
		getquota_rslt *got = rquotaproc_getquota_1(&asked, c);
		if (!got) {
			clnt_perror(c, "GETQUOTA");
			return 1;
		}
		rquota *q = &got->getquota_rslt_u.gqr_rquota;
		if (got->status == Q_OK)
			printf("%d %d %u %u %u %u %u %u\n", q->rq_bsize, q->rq_active, q->rq_bhardlimit, q->rq_bsoftlimit,
			       q->rq_curblocks, q->rq_fhardlimit, q->rq_fsoftlimit, q->rq_curfiles);
		else
			printf("status %d\n", got->status);
	}
	return 0;
}
