#include "operations.h"

#include <stdio.h>
#include <string.h>

#define UNCHANGED 0	/* version 3: no guard on SETATTR, UNCHECKED CREATE */

static void need_ok(struct reply *r)
{
	static char text[64];
	r->status = get32(r);
	if (!r->bad && r->status) {
		snprintf(text, sizeof text, "the server answered status %u", r->status);
		r->bad = text;
	}
}

static const struct handle *one_of_many(const struct target *t, const struct work *w)
{
	return &t->many[w->object % MANY];
}

static void null_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	(void)b, (void)t, (void)w;
}

static void null_check(struct reply *r, const struct target *t, const struct work *w)
{
	(void)t, (void)w;
	if (r->at != r->size)
		spoil(r, "NULL answered more than nothing");
}

static void getattr_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	put_handle(b, t, one_of_many(t, w));
}

static void getattr_check(struct reply *r, const struct target *t, const struct work *w)
{
	uint64_t size;
	(void)w;
	need_ok(r);
	get_attributes(r, t, &size);
}

static void setattr_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	put_handle(b, t, one_of_many(t, w));
	put_new_attributes(b, t, w->object & MANY ? 0640 : 0644);
	if (t->version == 3)
		put32(b, UNCHANGED);
}

static void setattr_check(struct reply *r, const struct target *t, const struct work *w)
{
	if (t->version == 2) {
		getattr_check(r, t, w);
		return;
	}
	need_ok(r);
	get_wcc_data(r, t);
}

static void put_created_name(struct buffer *b, const struct target *t, const struct work *w)
{
	char name[48];
	put_handle(b, t, &t->created);
	put_opaque(b, name, snprintf(name, sizeof name, "%08x-%u", t->run, (unsigned)w->object));
}

static void lookup_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	char name[48];
	put_handle(b, t, &t->directory);
	put_opaque(b, name, snprintf(name, sizeof name, "file-%02u", (unsigned)(w->object % MANY)));
}

static void lookup_check(struct reply *r, const struct target *t, const struct work *w)
{
	struct handle h;
	uint64_t size;
	(void)w;
	need_ok(r);
	get_handle(r, t, &h);
	get_post_op_attributes(r, t, &size);
}

static void readlink_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	(void)w;
	put_handle(b, t, &t->link);
}

static void readlink_check(struct reply *r, const struct target *t, const struct work *w)
{
	uint64_t size;
	(void)w;
	need_ok(r);
	if (t->version == 3)
		get_post_op_attributes(r, t, &size);
	uint32_t length = get32(r);
	get_bytes(r, length);
	if (!length)
		spoil(r, "READLINK answered nothing");
}

static void put_read(struct buffer *b, const struct target *t, const struct handle *h, const struct work *w)
{
	put_handle(b, t, h);
	if (t->version == 2)
		put32(b, w->offset);
	else
		put64(b, w->offset);
	put32(b, w->count);
	if (t->version == 2)
		put32(b, 0);
}

static void read_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	put_read(b, t, &t->file, w);
}

static void seqread_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	put_read(b, t, &t->large, w);
}

static void read_check(struct reply *r, const struct target *t, const struct work *w)
{
	uint64_t size;
	need_ok(r);
	get_post_op_attributes(r, t, &size);
	if (t->version == 3)
		get_bytes(r, 8);	/* count, eof */
	uint32_t got = get32(r);
	get_bytes(r, got);
	if (got != w->count)
		spoil(r, "READ answered fewer bytes than it was asked for");
}

static void write_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	static unsigned char block[BLOCK];
	memcpy(block, &w->object, sizeof w->object);
	put_handle(b, t, &t->file);
	if (t->version == 2) {
		put32(b, 0);
		put32(b, w->offset);
		put32(b, 0);
	} else {
		put64(b, w->offset);
		put32(b, w->count);
		put32(b, 2);	/* FILE_SYNC: what version 2 always promises */
	}
	put_opaque(b, block, w->count);
}

static void write_check(struct reply *r, const struct target *t, const struct work *w)
{
	uint64_t size;
	need_ok(r);
	if (t->version == 2) {
		get_attributes(r, t, &size);
		return;
	}
	get_wcc_data(r, t);
	if (get32(r) != w->count)
		spoil(r, "WRITE took fewer bytes than it was given");
	if (get32(r) != 2)
		spoil(r, "WRITE was not committed to stable storage");
}

static void create_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	put_created_name(b, t, w);
	if (t->version == 3)
		put32(b, UNCHANGED);
	put_new_attributes(b, t, 0644);
}

static void create_check(struct reply *r, const struct target *t, const struct work *w)
{
	struct handle h;
	uint64_t size;
	(void)w;
	need_ok(r);
	if (t->version == 2 || get32(r))
		get_handle(r, t, &h);
	get_post_op_attributes(r, t, &size);
}

static void remove_check(struct reply *r, const struct target *t, const struct work *w)
{
	(void)w;
	need_ok(r);
	if (t->version == 3)
		get_wcc_data(r, t);
}

static void readdir_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	(void)w;
	put_handle(b, t, &t->directory);
	for (int i = 0; i < (t->version == 2 ? 1 : 4); i++)	/* cookie, cookie verifier */
		put32(b, 0);
	put32(b, BLOCK);
}

static void readdir_check(struct reply *r, const struct target *t, const struct work *w)
{
	uint64_t size;
	unsigned entries = 0, width = t->version == 2 ? 4 : 8;
	(void)w;
	need_ok(r);
	if (t->version == 3) {
		get_post_op_attributes(r, t, &size);
		get_bytes(r, 8);
	}
	while (get32(r)) {
		get_bytes(r, width);
		get_bytes(r, get32(r));
		get_bytes(r, width);
		entries++;
	}
	get32(r);		/* whether that was the end: it is not in a directory that has grown */
	if (entries < MANY)
		spoil(r, "READDIR did not list the whole directory");
}

static void statfs_arguments(struct buffer *b, const struct target *t, const struct work *w)
{
	(void)w;
	put_handle(b, t, &t->root);
}

static void statfs_check(struct reply *r, const struct target *t, const struct work *w)
{
	uint64_t size;
	(void)w;
	need_ok(r);
	if (t->version == 3)
		get_post_op_attributes(r, t, &size);
	get_bytes(r, t->version == 2 ? 20 : 52);
}

const struct operation operations[] = {
	{"NULL", {0, 0}, null_arguments, null_check, 0},
	{"GETATTR", {1, 1}, getattr_arguments, getattr_check, 0},
	{"SETATTR", {2, 2}, setattr_arguments, setattr_check, 0},
	{"LOOKUP", {4, 3}, lookup_arguments, lookup_check, 0},
	{"READLINK", {5, 5}, readlink_arguments, readlink_check, NEEDS_LINK},
	{"READ", {6, 6}, read_arguments, read_check, 0},
	{"SEQREAD", {6, 6}, seqread_arguments, read_check, NEEDS_LARGE},
	{"WRITE", {8, 7}, write_arguments, write_check, 0},
	{"CREATE", {9, 8}, create_arguments, create_check, NEEDS_CREATED},
	{"REMOVE", {10, 12}, put_created_name, remove_check, NEEDS_CREATED},
	{"READDIR", {16, 16}, readdir_arguments, readdir_check, 0},
	{"STATFS", {17, 18}, statfs_arguments, statfs_check, 0},
	{NULL, {0, 0}, NULL, NULL, 0},
};

const struct operation *find_operation(const char *name, size_t length)
{
	for (const struct operation *o = operations; o->name; o++)
		if (strlen(o->name) == length && !strncmp(o->name, name, length))
			return o;
	return NULL;
}
