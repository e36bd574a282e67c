/* limit: answers every MOUNT 1 and NFSv2 call of the load generator with a reply prepared beforehand. It reads no
 * argument, has no file and forgets everything: what is left is the cost of system calls and loopback, the limit that
 * a real server on this machine can be measured against. Prints its port, then serves UDP and TCP until killed. */
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROCEDURES 18
#define MAX_STREAMS 66
#define ENTRIES 64

/* A reply to each procedure of each program, the record mark in front; the xid is filled in when it is sent. */
static struct { unsigned char data[BLOCK + 512]; size_t size; } replies[2][PROCEDURES];

struct stream {
	size_t received;
	unsigned char in[1 << 18];
};

_Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "limit: %s: %s\n", what, why);
	exit(1);
}

static void put_words(struct buffer *b, size_t n, const uint32_t *words)
{
	for (size_t i = 0; i < n; i++)
		put32(b, words[i]);
}

static void put_fattr(struct buffer *b)
{
	const uint32_t words[17] = {1, 0100644, 1, 0, 0, 512 * BLOCK, BLOCK, 0, 8192, 1, 2, 1, 0, 1, 0, 1, 0};
	put_words(b, 17, words);
}

static void put_fh(struct buffer *b)
{
	const uint32_t words[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	put_words(b, 8, words);
}

static void put_entries(struct buffer *b)
{
	for (uint32_t i = 0; i < ENTRIES; i++) {
		put32(b, 1);
		put32(b, i + 1);
		put_opaque(b, "file-00", 7);
		put32(b, i + 1);
	}
	put32(b, 0);
	put32(b, 1);
}

/* The numbers are those of the procedures of NFSv2 (RFC 1094 2.2), and of MOUNT's MNT. */
static void put_results(struct buffer *b, int nfs, uint32_t procedure)
{
	static const unsigned char block[BLOCK];
	const uint32_t room[5] = {BLOCK, BLOCK, 1 << 20, 1 << 19, 1 << 19};
	if (procedure == 0)
		return;
	put32(b, 0);	/* NFS_OK, or MNT's status */
	if (!nfs) {
		put_fh(b);
		return;
	}
	switch (procedure) {
	case 4: case 9: case 14: put_fh(b); put_fattr(b); break;	/* LOOKUP, CREATE, MKDIR */
	case 1: case 2: case 8: put_fattr(b); break;	/* GETATTR, SETATTR, WRITE */
	case 5: put_opaque(b, "many/file-00", 12); break;	/* READLINK */
	case 6: put_fattr(b); put_opaque(b, block, BLOCK); break;	/* READ */
	case 16: put_entries(b); break;	/* READDIR */
	case 17: put_words(b, 5, room); break;	/* STATFS */
	}
}

static void prepare_replies(void)
{
	for (int nfs = 0; nfs < 2; nfs++) {
		for (uint32_t procedure = 0; procedure < PROCEDURES; procedure++) {
			struct buffer b = {.data = replies[nfs][procedure].data, .size = sizeof replies[nfs][procedure].data};
			const uint32_t head[7] = {0, 0, 1, 0, 0, 0, 0};
			put_words(&b, 7, head);
			put_results(&b, nfs, procedure);
			uint32_t mark = htonl(0x80000000u | (b.used - 4));
			memcpy(b.data, &mark, 4);
			replies[nfs][procedure].size = b.used;
		}
	}
}

/* The reply to a call, record mark and xid included. */
static const unsigned char *answer(const unsigned char *call, size_t size, size_t *reply_size)
{
	uint32_t words[6];
	if (size < sizeof words)
		die("call", "shorter than its header");
	memcpy(words, call, sizeof words);
	int nfs = ntohl(words[3]) == NFS_PROGRAM;
	uint32_t procedure = ntohl(words[5]) % PROCEDURES;
	memcpy(replies[nfs][procedure].data + 4, call, 4);
	*reply_size = replies[nfs][procedure].size;
	return replies[nfs][procedure].data;
}

static void answer_datagrams(int fd)
{
	static unsigned char call[MAX_MESSAGE];
	struct sockaddr_in from;
	socklen_t length = sizeof from;
	ssize_t n;
	while ((n = recvfrom(fd, call, sizeof call, MSG_DONTWAIT, (struct sockaddr *)&from, &length)) > 0) {
		size_t size;
		const unsigned char *reply = answer(call, n, &size);
		sendto(fd, reply + 4, size - 4, 0, (struct sockaddr *)&from, length);
	}
}

static int send_all(int fd, const unsigned char *data, size_t size)
{
	for (size_t sent = 0; sent < size;) {
		ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
		if (n < 0)
			return 0;
		sent += n;
	}
	return 1;
}

/* 0 when the connection has ended. */
static int answer_stream(int fd, struct stream *s)
{
	static unsigned char out[1 << 20];
	ssize_t n = recv(fd, s->in + s->received, sizeof s->in - s->received, 0);
	if (n <= 0)
		return 0;
	size_t done = 0, to_send = 0;
	s->received += n;
	while (s->received - done >= 4) {
		const unsigned char *p = s->in + done;
		size_t call_size = (size_t)(p[1] << 16 | p[2] << 8 | p[3]), size;
		if (s->received - done < call_size + 4)
			break;
		const unsigned char *reply = answer(p + 4, call_size, &size);
		if (to_send + size > sizeof out) {
			if (!send_all(fd, out, to_send))
				return 0;
			to_send = 0;
		}
		memcpy(out + to_send, reply, size);
		to_send += size;
		done += call_size + 4;
	}
	memmove(s->in, s->in + done, s->received - done);
	s->received -= done;
	return send_all(fd, out, to_send);
}

static int bound(int type, struct sockaddr_in *at)
{
	socklen_t length = sizeof *at;
	int fd = socket(AF_INET, type, 0), size = 4 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (fd < 0 || bind(fd, (struct sockaddr *)at, length) || (type == SOCK_STREAM && listen(fd, 64)) ||
	    getsockname(fd, (struct sockaddr *)at, &length))
		die("bind", strerror(errno));
	return fd;
}

int main(void)
{
	static struct stream streams[MAX_STREAMS];
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct pollfd watched[MAX_STREAMS] = {{.fd = bound(SOCK_DGRAM, &at), .events = POLLIN}};
	watched[1] = (struct pollfd){.fd = bound(SOCK_STREAM, &at), .events = POLLIN};
	int count = 2;
	prepare_replies();
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	while (poll(watched, count, -1) > 0) {
		if (watched[0].revents)
			answer_datagrams(watched[0].fd);
		for (int i = count - 1; i >= 2; i--) {
			if (!watched[i].revents || answer_stream(watched[i].fd, &streams[i]))
				continue;
			close(watched[i].fd);
			watched[i] = watched[--count];
			streams[i] = streams[count];
		}
		if (watched[1].revents && count < MAX_STREAMS) {
			watched[count] = (struct pollfd){.fd = accept(watched[1].fd, NULL, NULL), .events = POLLIN};
			streams[count++].received = 0;
		}
	}
	return 1;
}
