#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ABSENT 0xffffffffu	/* RFC 1094 2.3.6: this attribute is not set */

static unsigned char *room(struct buffer *b, size_t size)
{
	if (b->used + size > b->size) {
		fprintf(stderr, "loadgen: a call does not fit in %zu bytes\n", b->size);
		exit(2);
	}
	b->used += size;
	return b->data + b->used - size;
}

void put32(struct buffer *b, uint32_t value)
{
	unsigned char *p = room(b, 4);
	p[0] = value >> 24;
	p[1] = value >> 16;
	p[2] = value >> 8;
	p[3] = value;
}

void put64(struct buffer *b, uint64_t value)
{
	put32(b, value >> 32);
	put32(b, value);
}

static void put_bytes(struct buffer *b, const void *data, uint32_t size)
{
	static const unsigned char zero[4];
	memcpy(room(b, size), data, size);
	memcpy(room(b, -size & 3), zero, -size & 3);
}

void put_opaque(struct buffer *b, const void *data, uint32_t size)
{
	put32(b, size);
	put_bytes(b, data, size);
}

/* AUTH_SYS as root, so that both servers check permissions and none refuses. */
void put_header(struct buffer *b, uint32_t xid, uint32_t program, uint32_t version, uint32_t procedure)
{
	const uint32_t head[] = {xid, 0, 2, program, version, procedure, 1, 28, 0, 7};
	for (size_t i = 0; i < sizeof head / sizeof *head; i++)
		put32(b, head[i]);
	put_bytes(b, "loadgen", 7);
	for (int i = 0; i < 5; i++)	/* uid, gid, no gids; then the verifier: AUTH_NONE, empty */
		put32(b, 0);
}

void put_handle(struct buffer *b, const struct target *t, const struct handle *h)
{
	if (t->version == 2)
		put_bytes(b, h->data, 32);
	else
		put_opaque(b, h->data, h->size);
}

void put_new_attributes(struct buffer *b, const struct target *t, uint32_t mode)
{
	const uint32_t v2[] = {mode, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT};
	const uint32_t v3[] = {1, mode, 0, 0, 0, 0, 0};
	for (int i = 0; i < (t->version == 2 ? 8 : 7); i++)
		put32(b, t->version == 2 ? v2[i] : v3[i]);
}

void spoil(struct reply *r, const char *why)
{
	if (!r->bad)
		r->bad = why;
}

const unsigned char *get_bytes(struct reply *r, uint32_t size)
{
	static const unsigned char nothing[MAX_MESSAGE];
	size_t padded = ((size_t)size + 3) & ~(size_t)3;
	if (r->bad || padded > r->size - r->at) {
		spoil(r, "the reply is too short");
		return nothing;
	}
	r->at += padded;
	return r->data + r->at - padded;
}

uint32_t get32(struct reply *r)
{
	const unsigned char *p = get_bytes(r, 4);
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

void get_handle(struct reply *r, const struct target *t, struct handle *h)
{
	uint32_t size = t->version == 2 ? 32 : get32(r);
	if (size > sizeof h->data) {
		spoil(r, "a handle is too long");
		return;
	}
	memcpy(h->data, get_bytes(r, size), size);
	h->size = size;
}

void get_attributes(struct reply *r, const struct target *t, uint64_t *size)
{
	uint32_t type = get32(r);
	if (type != 1 && type != 2 && type != 5)
		spoil(r, "attributes of neither a file, a directory nor a link");
	get_bytes(r, 16);	/* mode, nlink, uid, gid */
	*size = get32(r);
	if (t->version == 3)
		*size = *size << 32 | get32(r);
	get_bytes(r, t->version == 2 ? 44 : 56);
}

void get_post_op_attributes(struct reply *r, const struct target *t, uint64_t *size)
{
	if (t->version == 2 || get32(r))
		get_attributes(r, t, size);
}

void get_wcc_data(struct reply *r, const struct target *t)
{
	uint64_t size;
	if (get32(r))
		get_bytes(r, 24);
	get_post_op_attributes(r, t, &size);
}

struct reply open_reply(const unsigned char *data, size_t size)
{
	struct reply r = {.data = data, .size = size};
	get32(&r);		/* xid */
	if (get32(&r) != 1)
		spoil(&r, "not a reply");
	if (get32(&r) != 0)
		spoil(&r, "the call was denied");
	get32(&r);
	get_bytes(&r, get32(&r));	/* verifier */
	if (get32(&r) != 0)
		spoil(&r, "accepted, but not SUCCESS");
	return r;
}
