#include "engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define SLOT_BITS 10		/* 1 << SLOT_BITS is MAX_SLOTS */
#define BATCH 32		/* datagrams received at once */
#define SEGMENTS 64		/* datagrams that any kernel cuts out of one piece: its UDP_MAX_SEGMENTS, when there were fewest */
#define LARGEST_DATAGRAM 65507
#define RESEND_AFTER 100000000ull	/* ns; short, so that a lost datagram costs the rate little */
#define LOOK_FOR_LATE_CALLS 20000000ull
#define GIVE_UP_AFTER 30000000000ull
#define WARM_UP 300000000ull
#define CALL_SIZE (BLOCK + 512)

/* One call in flight. Its xid is a random generation above the slot's number. */
struct slot {
	uint32_t xid;
	int connection, waiting;
	uint64_t intended, first_sent, last_sent;
	struct work work;
	struct buffer call;	/* with room for a record mark in front */
	unsigned char room[CALL_SIZE];
};

struct connection {
	int fd, number, datagrams;
	uint16_t sizes[MAX_SLOTS];	/* of the datagrams in `out` */
	size_t received, sent, to_send, out_room;
	unsigned char *out;
	unsigned char in[1 << 20];
};

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void add_sample(struct samples *s, uint64_t nanoseconds)
{
	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 1 << 16;
		s->values = realloc(s->values, s->room * sizeof *s->values);
		if (!s->values)
			die("realloc", strerror(errno));
	}
	s->values[s->count++] = nanoseconds / 1000;
}

/* --- sending ------------------------------------------------------------ */

static void send_stream(struct run *run, struct connection *c)
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

/* How many datagrams from the `first` on the kernel can cut out of one piece: all as long as the first, or the last
 * one shorter. */
static int alike(const struct connection *c, int first, size_t *size)
{
	int n = 0;
	for (*size = 0; first + n < c->datagrams && n < SEGMENTS; n++) {
		uint16_t next = c->sizes[first + n];
		if (next > c->sizes[first] || *size + next > LARGEST_DATAGRAM || (n && c->sizes[first + n - 1] < c->sizes[first]))
			break;
		*size += next;
	}
	return n;
}

/* One system call, and one way through the network's layers, for calls of one length: so the generator leaves the
 * processors to the servers. A full send buffer is so many lost datagrams: they are sent again later. */
static void send_datagrams(struct connection *c)
{
	size_t at = 0, size;
	for (int first = 0, n; first < c->datagrams; first += n, at += size) {
		n = alike(c, first, &size);
		union {
			struct cmsghdr header;
			char room[CMSG_SPACE(sizeof(uint16_t))];
		} cut = {.header = {.cmsg_len = CMSG_LEN(sizeof(uint16_t)), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT}};
		memcpy(CMSG_DATA(&cut.header), &c->sizes[first], sizeof(uint16_t));
		struct iovec piece = {.iov_base = c->out + at, .iov_len = size};
		struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
		if (n > 1) {
			message.msg_control = &cut;
			message.msg_controllen = sizeof cut.room;
		}
		if (sendmsg(c->fd, &message, MSG_DONTWAIT) < 0 && errno != EAGAIN)
			die("sendmsg", strerror(errno));
	}
	c->datagrams = c->to_send = 0;
}

static void flush(struct run *run, struct connection *c)
{
	if (run->options.tcp)
		send_stream(run, c);
	else
		send_datagrams(c);
}

/* Puts the call among those that `flush` sends. */
static void transmit(struct run *run, struct slot *s)
{
	struct connection *c = run->connections[s->connection];
	s->last_sent = now();
	if (!run->options.tcp) {
		memcpy(c->out + c->to_send, s->call.data + 4, s->call.used - 4);
		c->to_send += c->sizes[c->datagrams++] = s->call.used - 4;
		return;
	}
	if (c->to_send + s->call.used > c->out_room) {
		memmove(c->out, c->out + c->sent, c->to_send - c->sent);
		c->to_send -= c->sent;
		c->sent = 0;
	}
	if (c->to_send + s->call.used > c->out_room)
		die("send", "more calls queued than are in flight");
	memcpy(c->out + c->to_send, s->call.data, s->call.used);
	c->to_send += s->call.used;
}

/* `intended`: when the call should have been sent, in ns; 0: now. Its latency counts from then. */
static void next_call(struct run *run, struct slot *s, uint64_t intended)
{
	const struct target *t = &run->target;
	schedule_next(&run->schedule, t, &s->work);
	s->xid += MAX_SLOTS;
	s->call.used = 0;
	put32(&s->call, 0);
	put_header(&s->call, s->xid, NFS_PROGRAM, t->version, s->work.operation->procedure[t->version - 2]);
	s->work.operation->arguments(&s->call, t, &s->work);
	uint32_t mark = htonl(0x80000000u | (s->call.used - 4));
	memcpy(s->call.data, &mark, 4);
	s->waiting = 1;
	run->in_flight++;
	transmit(run, s);
	s->first_sent = s->last_sent;
	s->intended = intended ? intended : s->first_sent;
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
			flush(run, run->connections[s->connection]);
		}
	}
}

/* --- receiving ---------------------------------------------------------- */

static int within(const struct run *run, uint64_t at)
{
	return at >= run->measure_from && at < run->measure_until;
}

/* In a closed loop the reply's time decides whether a call is counted and the next one follows at once; in an open
 * loop it is when the call should have been sent, so that nobody can make a slow time look short by answering late. */
static void finish_call(struct run *run, struct slot *s, uint64_t at)
{
	int open = run->schedule.pause > 0;
	s->waiting = 0;
	run->in_flight--;
	run->answered++;
	if (within(run, open ? s->intended : at)) {
		add_sample(&run->latencies, at - s->intended);
		if (open)
			add_sample(&run->lateness, s->first_sent - s->intended);
	}
	if (open)
		run->free[(run->free_first + run->free_count++) % MAX_SLOTS] = s - run->slots;
	else if (at < run->measure_until)
		next_call(run, s, 0);
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
	s->work.operation->check(&r, &run->target, &s->work);
	if (r.bad)
		die(s->work.operation->name, r.bad);
	schedule_done(&run->schedule, &s->work);
	finish_call(run, s, at);
}

static void receive_datagrams(struct run *run, struct connection *c)
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
	int n = recvmmsg(c->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN)
		die("recv", strerror(errno));
	uint64_t at = now();
	for (int i = 0; i < n; i++)
		take_reply(run, c->number, room[i], messages[i].msg_len, at);
	flush(run, c);
}

static void receive_stream(struct run *run, struct connection *c)
{
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
		take_reply(run, c->number, p + 4, size, at);
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
		c->number = i;
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
		run->free[run->free_count++] = i;
	}
}

/* Sends what should have been sent by now, as far as there are slots; how many ns there are until the next one. */
static uint64_t send_due(struct run *run, double *due)
{
	uint64_t at = now();
	while (*due <= at && *due < run->measure_until && run->free_count) {
		struct slot *s = &run->slots[run->free[run->free_first]];
		run->free_first = (run->free_first + 1) % MAX_SLOTS;
		run->free_count--;
		next_call(run, s, *due);
		flush(run, run->connections[s->connection]);
		*due += schedule_pause(&run->schedule);
	}
	return *due > at ? *due - at : LOOK_FOR_LATE_CALLS;
}

static void serve_events(struct run *run, uint64_t patience)
{
	struct epoll_event events[MAX_CONNECTIONS];
	struct timespec most = {.tv_nsec = patience < LOOK_FOR_LATE_CALLS ? patience : LOOK_FOR_LATE_CALLS};
	int n = epoll_pwait2(run->epoll, events, MAX_CONNECTIONS, &most, NULL);
	if (n < 0 && errno != EINTR)
		die("epoll_pwait2", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct connection *c = events[i].data.ptr;
		if (run->options.tcp && events[i].events & EPOLLOUT)
			flush(run, c);
		if (events[i].events & ~EPOLLOUT)
			(run->options.tcp ? receive_stream : receive_datagrams)(run, c);
	}
}

void run_load(struct run *run)
{
	int open = run->schedule.pause > 0;
	prctl(PR_SET_TIMERSLACK, 1);
	open_connections(run);
	open_slots(run);
	uint64_t start = now(), checked = start, patience = LOOK_FOR_LATE_CALLS;
	double due = start;
	run->measure_from = start + WARM_UP;
	run->measure_until = run->measure_from + (uint64_t)(run->options.seconds * 1e9);
	for (int i = 0; !open && i < run->slot_count; i++)
		next_call(run, &run->slots[i], 0);
	for (int i = 0; i < run->options.connections; i++)
		flush(run, run->connections[i]);
	while (run->in_flight || (open && due < run->measure_until)) {
		if (open)
			patience = send_due(run, &due);
		serve_events(run, patience);
		if (now() - checked > LOOK_FOR_LATE_CALLS) {
			resend_late_calls(run);
			checked = now();
		}
	}
}
