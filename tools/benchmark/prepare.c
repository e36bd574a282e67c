#include "loadgen.h"
#include "operations.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define FILE_BLOCKS 512
#define LARGE_BLOCKS 8192	/* 64 MiB */
#define MOST_BLOCKS (1u << 18)	/* 2 GiB: where old clients end */
#define DIRECTORY_MODE 0755
#define TRIES 30		/* of one second each, over UDP */

/* A connection on which one call at a time is made. */
struct caller {
	int fd, tcp;
	uint32_t program, version, xid;
	struct buffer call;
	unsigned char call_room[BLOCK + 512], reply_room[MAX_MESSAGE];
};

int connect_to(uint16_t port, int tcp)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0), size = 4 << 20;
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return fd;
}

static void open_caller(struct caller *c, uint16_t port, int tcp, uint32_t program, uint32_t version)
{
	struct timeval second = {.tv_sec = tcp ? TRIES : 1};
	memset(c, 0, sizeof *c);
	c->fd = connect_to(port, tcp);
	c->tcp = tcp;
	c->program = program;
	c->version = version;
	c->call = (struct buffer){.data = c->call_room, .size = sizeof c->call_room};
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
	if (getrandom(&c->xid, sizeof c->xid, 0) != sizeof c->xid)
		die("getrandom", strerror(errno));
}

static void begin_call(struct caller *c, uint32_t procedure)
{
	c->call.used = 0;
	if (c->tcp)
		put32(&c->call, 0);	/* the record mark, filled in by finish_call */
	put_header(&c->call, ++c->xid, c->program, c->version, procedure);
}

static void receive_exactly(struct caller *c, unsigned char *data, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = read(c->fd, data + got, size - got);
		if (n <= 0)
			die("no reply", n ? strerror(errno) : "the server closed the connection");
		got += n;
	}
}

static size_t receive_record(struct caller *c)
{
	unsigned char mark[4];
	receive_exactly(c, mark, sizeof mark);
	size_t size = (size_t)(mark[1] << 16 | mark[2] << 8 | mark[3]);
	if (mark[0] != 0x80 || size > sizeof c->reply_room)
		die("reply", "not one fragment of reasonable size");
	receive_exactly(c, c->reply_room, size);
	return size;
}

static size_t exchange_datagrams(struct caller *c)
{
	for (int i = 0; i < TRIES; i++) {
		if (send(c->fd, c->call.data, c->call.used, 0) < 0)
			die("send", strerror(errno));
		ssize_t n;
		while ((n = recv(c->fd, c->reply_room, sizeof c->reply_room, 0)) >= 4)
			if (!memcmp(c->reply_room, c->call.data, 4))
				return n;
		if (n < 0 && errno != EAGAIN)
			die("recv", strerror(errno));
	}
	die("no reply", "the server is silent");
}

static struct reply finish_call(struct caller *c)
{
	if (!c->tcp) {
		size_t size = exchange_datagrams(c);
		return open_reply(c->reply_room, size);
	}
	uint32_t mark = htonl(0x80000000u | (c->call.used - 4));
	memcpy(c->call.data, &mark, 4);
	for (size_t sent = 0; sent < c->call.used;) {
		ssize_t n = send(c->fd, c->call.data + sent, c->call.used - sent, MSG_NOSIGNAL);
		if (n < 0)
			die("send", strerror(errno));
		sent += n;
	}
	size_t size = receive_record(c);
	return open_reply(c->reply_room, size);
}

static void must_be_good(const struct reply *r, const char *what)
{
	if (r->bad)
		die(what, r->bad);
}

static void mount_root(struct target *t, const struct options *o)
{
	struct caller c;
	open_caller(&c, o->mount_port, o->tcp, MOUNT_PROGRAM, o->version == 2 ? 1 : 3);
	begin_call(&c, 1);
	put_opaque(&c.call, o->export, strlen(o->export));
	struct reply r = finish_call(&c);
	uint32_t status = get32(&r);
	if (!r.bad && status) {
		fprintf(stderr, "loadgen: MNT %s: status %u\n", o->export, status);
		exit(1);
	}
	get_handle(&r, t, &t->root);
	must_be_good(&r, "MNT");
	close(c.fd);
}

/* The handle (and the size) of NAME in DIR; 0 when there is no such name. */
static int look_up(struct caller *c, struct target *t, const struct handle *dir, const char *name,
		   struct handle *found, uint64_t *size)
{
	begin_call(c, t->version == 2 ? 4 : 3);
	put_handle(&c->call, t, dir);
	put_opaque(&c->call, name, strlen(name));
	struct reply r = finish_call(c);
	uint32_t status = get32(&r);
	if (!r.bad && status == 2)
		return 0;
	if (!r.bad && status)
		die("LOOKUP", "refused");
	*size = 0;
	get_handle(&r, t, found);
	get_post_op_attributes(&r, t, size);
	must_be_good(&r, "LOOKUP");
	return 1;
}

/* Finds NAME in DIR or makes it; returns its size in bytes. */
static uint64_t find_or_make(struct caller *c, struct target *t, const struct handle *dir, const char *name,
			     int directory, struct handle *found)
{
	uint64_t size = 0;
	if (look_up(c, t, dir, name, found, &size))
		return size;
	begin_call(c, directory ? (t->version == 2 ? 14 : 9) : (t->version == 2 ? 9 : 8));
	put_handle(&c->call, t, dir);
	put_opaque(&c->call, name, strlen(name));
	if (t->version == 3 && !directory)
		put32(&c->call, 0);	/* UNCHECKED */
	put_new_attributes(&c->call, t, directory ? DIRECTORY_MODE : 0644);
	struct reply r = finish_call(c);
	if (get32(&r) != 0)
		die(directory ? "MKDIR" : "CREATE", "refused");
	must_be_good(&r, "CREATE");
	if (!look_up(c, t, dir, name, found, &size))
		die(name, "made, but not found");
	return size;
}

static void fill_file(struct caller *c, const struct target *t, const struct handle *h, uint32_t blocks)
{
	const struct operation *write = find_operation("WRITE", 5);
	struct target one = *t;
	one.file = *h;
	for (uint64_t i = 0; i < blocks; i++) {
		const struct work w = {write, i, i * BLOCK, BLOCK};
		begin_call(c, write->procedure[t->version - 2]);
		write->arguments(&c->call, &one, &w);
		struct reply r = finish_call(c);
		write->check(&r, &one, &w);
		must_be_good(&r, "WRITE");
	}
}

/* Finds or makes a file of at least so many blocks; how many it has. */
static uint32_t find_or_fill(struct caller *c, struct target *t, const struct handle *dir, const char *name,
			     uint32_t blocks, struct handle *found)
{
	uint64_t size = find_or_make(c, t, dir, name, 0, found);
	if (size < blocks * (uint64_t)BLOCK) {
		fill_file(c, t, found, blocks);
		return blocks;
	}
	return size / BLOCK < MOST_BLOCKS ? size / BLOCK : MOST_BLOCKS;
}

static void find_or_link(struct caller *c, struct target *t, const struct handle *dir)
{
	uint64_t size;
	if (look_up(c, t, dir, "link", &t->link, &size))
		return;
	begin_call(c, t->version == 2 ? 13 : 10);
	put_handle(&c->call, t, dir);
	put_opaque(&c->call, "link", 4);
	if (t->version == 3)
		put_new_attributes(&c->call, t, 0777);
	put_opaque(&c->call, "many/file-00", 12);
	if (t->version == 2)
		put_new_attributes(&c->call, t, 0777);
	struct reply r = finish_call(c);
	if (get32(&r) != 0)
		die("SYMLINK", "refused");
	must_be_good(&r, "SYMLINK");
	if (!look_up(c, t, dir, "link", &t->link, &size))
		die("link", "made, but not found");
}

void prepare(struct target *t, const struct options *o, int needs)
{
	static struct caller c;
	struct handle top;
	char name[32];
	t->version = o->version;
	if (getrandom(&t->run, sizeof t->run, 0) != sizeof t->run)
		die("getrandom", strerror(errno));
	mount_root(t, o);
	open_caller(&c, o->port, o->tcp, NFS_PROGRAM, o->version);
	find_or_make(&c, t, &t->root, "bench", 1, &top);
	find_or_make(&c, t, &top, "many", 1, &t->directory);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "file-%02d", i);
		find_or_make(&c, t, &t->directory, name, 0, &t->many[i]);
	}
	t->blocks = find_or_fill(&c, t, &top, "file", FILE_BLOCKS, &t->file);
	t->large_blocks = needs & NEEDS_LARGE ? find_or_fill(&c, t, &top, "large", LARGE_BLOCKS, &t->large) : 1;
	if (needs & NEEDS_LINK)
		find_or_link(&c, t, &top);
	if (needs & NEEDS_CREATED) {
		snprintf(name, sizeof name, "created-%08x", t->run);
		find_or_make(&c, t, &top, name, 1, &t->created);
	}
	close(c.fd);
}
