/* loadgen: a closed loop of NFS calls, several in flight, and how fast they are answered.
 *
 * One process runs one operation over one transport and prints one JSON object:
 * replies counted within the measured time, their rate and latencies (a call that
 * was sent again counts from its first sending), how many calls were sent again
 * (UDP), and the processor time this generator itself took. Each reply is checked;
 * the first wrong one ends the run with exit status 1. */
#include "loadgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOT_BITS 10
#define MAX_SLOTS (1 << SLOT_BITS)
#define MAX_CONNECTIONS 64
#define BATCH 32		/* datagrams received at once */
#define RESEND_AFTER 100000000ull	/* ns; short, so that a lost datagram costs the rate little */
#define LOOK_FOR_LATE_CALLS 20000000ull
#define GIVE_UP_AFTER 30000000000ull
#define WARM_UP 300000000ull
#define CALL_SIZE (BLOCK + 512)

/* One call in flight. Its xid is a random generation above the slot's number. */
struct slot {
	uint32_t xid;
	int connection, waiting;
	uint64_t first_sent, last_sent;
	struct buffer call;	/* with room for a record mark in front */
	unsigned char room[CALL_SIZE];
};

struct connection {
	int fd;
	size_t received, sent, to_send, out_room;
	unsigned char *out;
	unsigned char in[1 << 20];
};

struct run {
	struct options options;
	const struct operation *operation;
	struct target target;
	struct connection *connections[MAX_CONNECTIONS];
	struct slot *slots;
	int slot_count, in_flight, epoll;
	uint64_t turns, measure_from, measure_until;
	uint32_t *latencies;	/* microseconds */
	size_t replies, latency_room;
	unsigned long resent, unexpected;
};

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void die(const char *what, const char *why)
{
	fprintf(stderr, "loadgen: %s: %s\n", what, why);
	exit(1);
}

/* --- sending ------------------------------------------------------------ */

static void flush(struct run *run, struct connection *c)
{
	while (c->sent < c->to_send) {
		ssize_t n = send(c->fd, c->out + c->sent, c->to_send - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			die("send", strerror(errno));
		c->sent += n;
	}
	if (c->sent == c->to_send)
		c->sent = c->to_send = 0;
	struct epoll_event e = {.events = EPOLLIN | (c->to_send ? EPOLLOUT : 0), .data.ptr = c};
	if (epoll_ctl(run->epoll, EPOLL_CTL_MOD, c->fd, &e) < 0)
		die("epoll_ctl", strerror(errno));
}

static void transmit(struct run *run, struct slot *s)
{
	struct connection *c = run->connections[s->connection];
	s->last_sent = now();
	if (!run->options.tcp) {
		/* a full send buffer is a lost datagram: it is sent again later */
		if (send(c->fd, s->call.data + 4, s->call.used - 4, MSG_DONTWAIT) < 0 && errno != EAGAIN)
			die("send", strerror(errno));
		return;
	}
	if (c->to_send + s->call.used > c->out_room)
		die("send", "more calls queued than are in flight");
	memcpy(c->out + c->to_send, s->call.data, s->call.used);
	c->to_send += s->call.used;
}

static void next_call(struct run *run, struct slot *s)
{
	const struct target *t = &run->target;
	s->xid += MAX_SLOTS;
	s->call.used = 0;
	put32(&s->call, 0);
	put_header(&s->call, s->xid, NFS_PROGRAM, t->version, run->operation->procedure[t->version - 2]);
	run->operation->arguments(&s->call, t, run->turns++);
	uint32_t mark = htonl(0x80000000u | (s->call.used - 4));
	memcpy(s->call.data, &mark, 4);
	s->waiting = 1;
	run->in_flight++;
	transmit(run, s);
	s->first_sent = s->last_sent;
}

static void resend_late_calls(struct run *run)
{
	uint64_t at = now();
	for (int i = 0; i < run->slot_count; i++) {
		struct slot *s = &run->slots[i];
		if (!s->waiting)
			continue;
		if (at - s->first_sent > GIVE_UP_AFTER)
			die("no reply", "a call was not answered within 30 s");
		if (!run->options.tcp && at - s->last_sent > RESEND_AFTER) {
			run->resent++;
			transmit(run, s);
		}
	}
}

/* --- receiving ---------------------------------------------------------- */

static void record_latency(struct run *run, uint64_t at, uint64_t first_sent)
{
	if (at < run->measure_from || at >= run->measure_until)
		return;
	if (run->replies == run->latency_room) {
		run->latency_room = run->latency_room ? run->latency_room * 2 : 1 << 16;
		run->latencies = realloc(run->latencies, run->latency_room * sizeof *run->latencies);
		if (!run->latencies)
			die("realloc", strerror(errno));
	}
	run->latencies[run->replies++] = (at - first_sent) / 1000;
}

static void take_reply(struct run *run, int connection, const unsigned char *data, size_t size, uint64_t at)
{
	uint32_t xid;
	if (size < 4)
		die("reply", "shorter than an xid");
	memcpy(&xid, data, 4);
	xid = ntohl(xid);
	struct slot *s = &run->slots[xid % MAX_SLOTS];
	if (s - run->slots >= run->slot_count || !s->waiting || s->xid != xid || s->connection != connection) {
		run->unexpected++;	/* the second answer to a call that was sent again */
		return;
	}
	struct reply r = open_reply(data, size);
	run->operation->check(&r, &run->target);
	if (r.bad)
		die(run->operation->name, r.bad);
	s->waiting = 0;
	run->in_flight--;
	record_latency(run, at, s->first_sent);
	if (at < run->measure_until)
		next_call(run, s);
}

static void receive_datagrams(struct run *run, int connection)
{
	static unsigned char room[BATCH][MAX_MESSAGE];
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];
	memset(messages, 0, sizeof messages);
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){.iov_base = room[i], .iov_len = MAX_MESSAGE};
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	int n = recvmmsg(run->connections[connection]->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN)
		die("recv", strerror(errno));
	uint64_t at = now();
	for (int i = 0; i < n; i++)
		take_reply(run, connection, room[i], messages[i].msg_len, at);
}

static void receive_stream(struct run *run, int connection)
{
	struct connection *c = run->connections[connection];
	ssize_t n = recv(c->fd, c->in + c->received, sizeof c->in - c->received, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("recv", n ? strerror(errno) : "the server closed the connection");
	c->received += n;
	uint64_t at = now();
	size_t done = 0;
	while (c->received - done >= 4) {
		const unsigned char *p = c->in + done;
		size_t size = (size_t)(p[1] << 16 | p[2] << 8 | p[3]);
		if (p[0] != 0x80 || size > MAX_MESSAGE)
			die("reply", "not one fragment of reasonable size");
		if (c->received - done < size + 4)
			break;
		take_reply(run, connection, p + 4, size, at);
		done += size + 4;
	}
	memmove(c->in, c->in + done, c->received - done);
	c->received -= done;
	flush(run, c);
}

/* --- the run ------------------------------------------------------------ */

static void open_connections(struct run *run)
{
	const struct options *o = &run->options;
	run->epoll = epoll_create1(0);
	for (int i = 0; i < o->connections; i++) {
		struct connection *c = calloc(1, sizeof *c);
		if (!c)
			die("calloc", strerror(errno));
		c->fd = connect_to(o->port, o->tcp);
		c->out_room = (size_t)o->window * CALL_SIZE;
		c->out = malloc(c->out_room);
		run->connections[i] = c;
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
		if (!c->out || run->epoll < 0 || epoll_ctl(run->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
			die("epoll_ctl", strerror(errno));
	}
}

static void open_slots(struct run *run)
{
	const struct options *o = &run->options;
	uint32_t generation;
	if (getrandom(&generation, sizeof generation, 0) != sizeof generation)
		die("getrandom", strerror(errno));
	run->slot_count = o->connections * o->window;
	run->slots = calloc(run->slot_count, sizeof *run->slots);
	if (!run->slots)
		die("calloc", strerror(errno));
	for (int i = 0; i < run->slot_count; i++) {
		struct slot *s = &run->slots[i];
		s->xid = generation << SLOT_BITS | i;
		s->connection = i % o->connections;
		s->call = (struct buffer){.data = s->room, .size = sizeof s->room};
	}
}

static int number_of(const struct run *run, const struct connection *c)
{
	int i = 0;
	while (run->connections[i] != c)
		i++;
	return i;
}

static void loop(struct run *run)
{
	struct epoll_event events[MAX_CONNECTIONS];
	uint64_t start = now(), checked = start;
	run->measure_from = start + WARM_UP;
	run->measure_until = run->measure_from + (uint64_t)(run->options.seconds * 1e9);
	for (int i = 0; i < run->slot_count; i++)
		next_call(run, &run->slots[i]);
	for (int i = 0; run->options.tcp && i < run->options.connections; i++)
		flush(run, run->connections[i]);
	while (run->in_flight) {
		int n = epoll_wait(run->epoll, events, MAX_CONNECTIONS, 20);
		if (n < 0 && errno != EINTR)
			die("epoll_wait", strerror(errno));
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;
			if (run->options.tcp && events[i].events & EPOLLOUT)
				flush(run, c);
			if (events[i].events & ~EPOLLOUT)
				(run->options.tcp ? receive_stream : receive_datagrams)(run, number_of(run, c));
		}
		if (now() - checked > LOOK_FOR_LATE_CALLS) {
			resend_late_calls(run);
			checked = now();
		}
	}
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static uint32_t percentile(const struct run *run, double share)
{
	return run->replies ? run->latencies[(size_t)(share * (run->replies - 1))] : 0;
}

static void report(struct run *run)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	qsort(run->latencies, run->replies, sizeof *run->latencies, ascending);
	printf("{\"operation\": \"%s\", \"replies\": %zu, \"seconds\": %.3f, \"rate\": %.1f, \"p50_us\": %u, \"p99_us\": %u, "
	       "\"resent\": %lu, \"unexpected\": %lu, \"generator_cpu_seconds\": %.3f}\n",
	       run->operation->name, run->replies, run->options.seconds, run->replies / run->options.seconds,
	       percentile(run, 0.5), percentile(run, 0.99), run->resent, run->unexpected, cpu);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: loadgen --operation NAME --port N [--mount-port N] [--export PATH] [--version 2|3] [--tcp]\n"
		"               [--connections 1..64] [--window CALLS-IN-FLIGHT-PER-CONNECTION] [--seconds S]\n"
		"operations: NULL GETATTR LOOKUP READ WRITE CREATE READDIR\n");
	exit(2);
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{"operation", 1, NULL, 'o'}, {"port", 1, NULL, 'p'}, {"mount-port", 1, NULL, 'm'},
		{"export", 1, NULL, 'e'}, {"version", 1, NULL, 'v'}, {"tcp", 0, NULL, 't'},
		{"connections", 1, NULL, 'c'}, {"window", 1, NULL, 'w'}, {"seconds", 1, NULL, 's'}, {0},
	};
	*o = (struct options){.version = 2, .connections = 1, .window = 16, .export = "/", .seconds = 2, .operation = ""};
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (c) {
		case 'o': o->operation = optarg; break;
		case 'p': o->port = atoi(optarg); break;
		case 'm': o->mount_port = atoi(optarg); break;
		case 'e': o->export = optarg; break;
		case 'v': o->version = atoi(optarg); break;
		case 't': o->tcp = 1; break;
		case 'c': o->connections = atoi(optarg); break;
		case 'w': o->window = atoi(optarg); break;
		case 's': o->seconds = atof(optarg); break;
		default: usage();
		}
	}
	if (!o->mount_port)
		o->mount_port = o->port;
	if (optind < argc || !o->port || (o->version != 2 && o->version != 3) || o->seconds <= 0 || o->connections < 1 ||
	    o->connections > MAX_CONNECTIONS || o->window < 1 || o->connections * o->window > MAX_SLOTS)
		usage();
}

int main(int argc, char **argv)
{
	static struct run run;
	parse(&run.options, argc, argv);
	run.operation = operations;
	while (run.operation->name && strcmp(run.operation->name, run.options.operation))
		run.operation++;
	if (!run.operation->name)
		usage();
	prepare(&run.target, &run.options);
	open_connections(&run);
	open_slots(&run);
	loop(&run);
	report(&run);
	return 0;
}
