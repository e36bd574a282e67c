/* file_client udp|tcp PORT: the textbook's file client, made by rpcgen. Prints what came back, a line for each thing. */
#include "file_read_write.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CLIENT *open_client(int tcp, int port, u_long version)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval again = {.tv_sec = 5};
	int sock = RPC_ANYSOCK;
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	CLIENT *c = tcp ? clnttcp_create(&to, FILEREADWRITE, version, &sock, 0, 0)
			: clntudp_create(&to, FILEREADWRITE, version, again, &sock);
	if (!c) {
		clnt_pcreateerror("file_client");
		exit(1);
	}
	return c;
}

static void must(void *result, CLIENT *c, const char *what)
{
	if (!result) {
		clnt_perror(c, what);
		exit(1);
	}
}

static void write_and_read(CLIENT *c, int file, int size)
{
	char block[MAX];
	for (int i = 0; i < size; i++)
		block[i] = file * 7 + i;
	writeargs w = {.f = file, .position = -file, .data = {.Data_len = size, .Data_val = block}};
	must(write_2(&w, c), c, "WRITE");
	readargs r = {.f = file, .position = -file, .length = size};
	Data *back = read_2(&r, c);
	must(back, c, "READ");
	if (back->Data_len != (u_int)size || memcmp(back->Data_val, block, size)) {
		printf("file %d: other bytes came back\n", file);
		exit(1);
	}
	clnt_freeres(c, (xdrproc_t)xdr_Data, (char *)back);
}

static void print_failure(CLIENT *c, u_long procedure, const char *what)
{
	struct timeval wait = {.tv_sec = 10};
	struct rpc_err error;
	enum clnt_stat got = clnt_call(c, procedure, (xdrproc_t)xdr_void, NULL, (xdrproc_t)xdr_void, NULL, wait);
	clnt_geterr(c, &error);
	printf("%s: %s", what, clnt_sperrno(got));
	if (got == RPC_PROGVERSMISMATCH)
		printf(" %u..%u", (unsigned)error.re_vers.low, (unsigned)error.re_vers.high);
	printf("\n");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int tcp = !strcmp(argv[1], "tcp"), port = atoi(argv[2]);
	CLIENT *c = open_client(tcp, port, VERSION);
	for (int i = 0; i < 200; i++)
		write_and_read(c, i, i * 5 % (MAX + 1));
	write_and_read(c, 1000, MAX);
	c->cl_auth = authunix_create_default();
	write_and_read(c, 1001, 1);
	printf("202 files written and read\n");
	print_failure(c, NULLPROC, "procedure 0");
	print_failure(c, 99, "procedure 99");
	print_failure(c, WRITE, "WRITE without arguments");
	print_failure(open_client(tcp, port, 7), NULLPROC, "version 7");
	return 0;
}
