/* file_server [register]: the textbook's file server, dispatched by rpcgen's code. Prints "UDP-PORT TCP-PORT" and
 * serves until its standard input ends; with an argument it is registered with the portmapper, and leaves its entries
 * there. A file is the block last written to it; anything of nobody's is empty. */
#include "file_read_write.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES 64

static struct { int size; char bytes[MAX]; } files[FILES];

void filereadwrite_2(struct svc_req *, SVCXPRT *);

void *write_2_svc(writeargs *a, struct svc_req *request)
{
	static char done;
	(void)request;
	if (a->f >= 0 && a->f < FILES && a->position >= 0 && a->position + (int)a->data.Data_len <= MAX) {
		memcpy(files[a->f].bytes + a->position, a->data.Data_val, a->data.Data_len);
		if (files[a->f].size < a->position + (int)a->data.Data_len)
			files[a->f].size = a->position + a->data.Data_len;
	}
	return &done;
}

Data *read_2_svc(readargs *a, struct svc_req *request)
{
	static Data data;
	(void)request;
	data = (Data){0};
	if (a->f >= 0 && a->f < FILES && a->position >= 0 && a->position < files[a->f].size) {
		int left = files[a->f].size - a->position;
		data.Data_len = a->length < left ? a->length : left;
		data.Data_val = files[a->f].bytes + a->position;
	}
	return &data;
}

static int bound(int type)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	socklen_t size = sizeof any;
	int s = socket(AF_INET, type, 0);
	inet_pton(AF_INET, "127.0.0.1", &any.sin_addr);
	if (s < 0 || bind(s, (struct sockaddr *)&any, size) || (type == SOCK_STREAM && listen(s, 8)) ||
	    getsockname(s, (struct sockaddr *)&any, &size)) {
		perror("file_server");
		exit(1);
	}
	printf("%d ", ntohs(any.sin_port));
	return s;
}

int main(int argc, char **argv)
{
	(void)argv;
	SVCXPRT *udp = svcudp_create(bound(SOCK_DGRAM)), *tcp = svctcp_create(bound(SOCK_STREAM), 0, 0);
	if (!udp || !tcp || !svc_register(udp, FILEREADWRITE, VERSION, filereadwrite_2, argc > 1 ? IPPROTO_UDP : 0) ||
	    !svc_register(tcp, FILEREADWRITE, VERSION, filereadwrite_2, argc > 1 ? IPPROTO_TCP : 0)) {
		fprintf(stderr, "file_server: cannot serve\n");
		return 1;
	}
	printf("\n");
	fflush(stdout);
	for (;;) {
		struct pollfd watched[FD_SETSIZE];
		int n = svc_max_pollfd;
		memcpy(watched, svc_pollfd, n * sizeof *watched);
		watched[n] = (struct pollfd){.fd = 0, .events = POLLIN};
		if (poll(watched, n + 1, -1) < 0 || watched[n].revents)
			return 0;
		svc_getreq_poll(watched, n + 1);
	}
}
