/* transfer: one file of NFS version 2, read or written from one end to the other, several calls in flight.
 *
 * What the client library is measured against: a plain program that does the same calls and nothing else.
 * Prints the seconds that it took and how many calls were sent again (UDP). Each reply is checked. */
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_WINDOW 1024
#define RESEND_AFTER 100000000ull	/* ns */

struct slot {
	uint32_t xid;
	int waiting;
	uint64_t sent, offset;
};

static struct {
	int fd, tcp, writing, window;
	uint64_t size, next, done;
	unsigned long resent;
	struct target target;
	struct slot slots[MAX_WINDOW];
	unsigned char *file;		/* what is read or written: one window of it */
	unsigned char in[1 << 20], out[MAX_WINDOW * (BLOCK + 512)];
	size_t received, sent, to_send;
} run;

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "transfer: %s: %s\n", what, why);
	exit(1);
}

static void flush(void)
{
	while (run.sent < run.to_send) {
		ssize_t n = send(run.fd, run.out + run.sent, run.to_send - run.sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			die("send", strerror(errno));
		run.sent += n;
	}
	run.sent = run.to_send = 0;
}

static void transmit(struct slot *s)
{
	static unsigned char room[BLOCK + 512];
	struct buffer b = {.data = room, .size = sizeof room};
	uint32_t count = run.size - s->offset < BLOCK ? run.size - s->offset : BLOCK;
	put32(&b, 0);
	put_header(&b, s->xid, 100003, 2, run.writing ? 8 : 6);
	put_handle(&b, &run.target, &run.target.file);
	if (run.writing)
		put32(&b, 0);
	put32(&b, s->offset);
	put32(&b, run.writing ? 0 : count);
	if (run.writing)
		put_opaque(&b, run.file + s->offset % ((uint64_t)run.window * BLOCK), count);
	else
		put32(&b, 0);
	s->sent = now();
	if (!run.tcp) {
		while (send(run.fd, room + 4, b.used - 4, 0) < 0)
			if (errno != EAGAIN && errno != ECONNREFUSED)
				die("send", strerror(errno));
		return;
	}
	uint32_t mark = htonl(0x80000000u | (b.used - 4));
	memcpy(room, &mark, 4);
	if (run.to_send + b.used > sizeof run.out) {
		memmove(run.out, run.out + run.sent, run.to_send - run.sent);
		run.to_send -= run.sent;
		run.sent = 0;
	}
	memcpy(run.out + run.to_send, room, b.used);
	run.to_send += b.used;
}

static void next_call(struct slot *s)
{
	if (run.next >= run.size)
		return;
	s->xid += MAX_WINDOW;
	s->offset = run.next;
	s->waiting = 1;
	run.next += BLOCK;
	transmit(s);
}

static void take(const unsigned char *data, size_t size)
{
	uint32_t xid;
	uint64_t length;
	memcpy(&xid, data, size < 4 ? size : 4);
	struct slot *s = &run.slots[ntohl(xid) % MAX_WINDOW];
	if (!s->waiting || s->xid != ntohl(xid))
		return;
	struct reply r = open_reply(data, size);
	if (get32(&r))
		die("reply", "a status that is not OK");
	get_attributes(&r, &run.target, &length);
	uint32_t count = run.size - s->offset < BLOCK ? run.size - s->offset : BLOCK;
	if (!run.writing) {
		if (get32(&r) != count)
			die("READ", "fewer bytes than asked for");
		memcpy(run.file + s->offset % ((uint64_t)run.window * BLOCK), get_bytes(&r, count), count);
	}
	if (r.bad)
		die("reply", r.bad);
	s->waiting = 0;
	run.done += count;
	next_call(s);
}

static void receive(void)
{
	if (!run.tcp) {
		ssize_t n;
		while ((n = recv(run.fd, run.in, sizeof run.in, MSG_DONTWAIT)) > 0)
			take(run.in, n);
		return;
	}
	ssize_t n = recv(run.fd, run.in + run.received, sizeof run.in - run.received, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("recv", n ? strerror(errno) : "the server closed the connection");
	run.received += n > 0 ? n : 0;
	size_t at = 0;
	while (run.received - at >= 4) {
		const unsigned char *p = run.in + at;
		size_t size = (size_t)(p[1] << 16 | p[2] << 8 | p[3]);
		if (run.received - at < size + 4)
			break;
		take(p + 4, size);
		at += size + 4;
	}
	memmove(run.in, run.in + at, run.received - at);
	run.received -= at;
}

int main(int argc, char **argv)
{
	if (argc != 7 || strlen(argv[4]) != 64) {
		fprintf(stderr, "usage: transfer read|write tcp|udp PORT HANDLE-IN-HEX BYTES WINDOW\n");
		return 2;
	}
	run.writing = !strcmp(argv[1], "write");
	run.tcp = !strcmp(argv[2], "tcp");
	run.target.version = 2;
	for (int i = 0; i < 32; i++)
		sscanf(argv[4] + 2 * i, "%2hhx", &run.target.file.data[i]);
	run.size = strtoull(argv[5], NULL, 10);
	run.window = atoi(argv[6]);
	if (run.window < 1 || run.window > MAX_WINDOW || !(run.file = calloc(run.window, BLOCK)))
		die("window", "1 to 1024");
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
	int size = 4 << 20;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	run.fd = socket(AF_INET, run.tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
	setsockopt(run.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (run.fd < 0 || connect(run.fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect", strerror(errno));
	uint64_t start = now();
	for (int i = 0; i < run.window; i++) {
		run.slots[i].xid = (uint32_t)(start >> 20) * MAX_WINDOW + i;
		next_call(&run.slots[i]);
	}
	while (run.done < run.size) {
		if (run.tcp)
			flush();
		struct pollfd p = {.fd = run.fd, .events = POLLIN | (run.to_send ? POLLOUT : 0)};
		if (poll(&p, 1, 50) > 0 && p.revents & ~POLLOUT)
			receive();
		for (int i = 0; !run.tcp && i < run.window; i++)
			if (run.slots[i].waiting && now() - run.slots[i].sent > RESEND_AFTER) {
				run.resent++;
				transmit(&run.slots[i]);
			}
	}
	printf("%.6f %lu\n", (now() - start) / 1e9, run.resent);
	return 0;
}
