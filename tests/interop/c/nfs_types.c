/* Prints "case bytes-in-hex" for values of every NFSv2 type, as libtirpc and the code of rpcgen encode them. */
#include "nfs_prot.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show(const char *name, xdrproc_t encode, void *value)
{
	static char room[65536];
	XDR xdrs;
	xdrmem_create(&xdrs, room, sizeof room, XDR_ENCODE);
	if (!encode(&xdrs, value)) {
		fprintf(stderr, "%s: not encoded\n", name);
		exit(1);
	}
	printf("%s ", name);
	for (u_int i = 0; i < xdr_getpos(&xdrs); i++)
		printf("%02x", (unsigned char)room[i]);
	printf("\n");
}

#define CASE(type, name, ...) do { \
	type v; \
	memset(&v, 0, sizeof v); \
	__VA_ARGS__; \
	show(name, (xdrproc_t)xdr_##type, &v); \
} while (0)

static void set_handle(nfs_fh *h, int first)
{
	for (int i = 0; i < NFS_FHSIZE; i++)
		h->data[i] = first + i;
}

static void set_fattr(fattr *a)
{
	*a = (fattr){.type = NFLNK, .mode = 0120777, .nlink = 3, .uid = 4, .gid = 5, .size = 4294967295u,
		.blocksize = 8192, .rdev = 0x0103, .blocks = 9, .fsid = 10, .fileid = 11,
		.atime = {12, 13}, .mtime = {14, 15}, .ctime = {4294967294u, 999999}};
}

static void set_sattr(sattr *a)
{
	*a = (sattr){.mode = 0644, .uid = 4294967295u, .gid = 7, .size = 0, .atime = {1, 2}, .mtime = {4294967295u, 4294967295u}};
}

static void set_where(diropargs *w, int first, const char *name)
{
	set_handle(&w->dir, first);
	w->name = (char *)name;
}

int main(void)
{
	static char block[8192];
	static entry entries[3];
	memset(block, 0xa5, sizeof block);
	for (int i = 0; i < 3; i++) {
		static char *names[] = {".", "..", "twelve bytes"};
		entries[i] = (entry){.fileid = 100 + i, .name = names[i], .nextentry = i < 2 ? &entries[i + 1] : NULL};
		memcpy(entries[i].cookie, "\0\0\1", 3);
		entries[i].cookie[3] = i;
	}
	CASE(nfsstat, "nfsstat ok", v = NFS_OK);
	CASE(nfsstat, "nfsstat stale", v = NFSERR_STALE);
	CASE(nfsstat, "nfsstat wflush", v = NFSERR_WFLUSH);
	CASE(ftype, "ftype", v = NFCHR);
	CASE(nfs_fh, "nfs_fh", set_handle(&v, 200));
	CASE(nfstime, "nfstime", v.seconds = 1; v.useconds = 999999);
	CASE(fattr, "fattr", set_fattr(&v));
	CASE(sattr, "sattr", set_sattr(&v));
	CASE(filename, "filename empty", v = "");
	CASE(filename, "filename", v = "n\303\274");
	CASE(nfspath, "nfspath", v = "/a/b");
	CASE(attrstat, "attrstat ok", v.status = NFS_OK; set_fattr(&v.attrstat_u.attributes));
	CASE(attrstat, "attrstat error", v.status = NFSERR_IO);
	CASE(sattrargs, "sattrargs", set_handle(&v.file, 1); set_sattr(&v.attributes));
	CASE(diropargs, "diropargs", set_where(&v, 2, "name"));
	CASE(diropokres, "diropokres", set_handle(&v.file, 3); set_fattr(&v.attributes));
	CASE(diropres, "diropres ok", v.status = NFS_OK; set_handle(&v.diropres_u.diropres.file, 3);
		set_fattr(&v.diropres_u.diropres.attributes));
	CASE(diropres, "diropres error", v.status = NFSERR_NOENT);
	CASE(readlinkres, "readlinkres ok", v.status = NFS_OK; v.readlinkres_u.data = "../x");
	CASE(readlinkres, "readlinkres error", v.status = NFSERR_NXIO);
	CASE(readargs, "readargs", set_handle(&v.file, 4); v.offset = 4294967295u; v.count = 8192; v.totalcount = 1);
	CASE(readokres, "readokres", set_fattr(&v.attributes); v.data.data_val = block; v.data.data_len = 8192);
	CASE(readres, "readres ok", v.status = NFS_OK; set_fattr(&v.readres_u.reply.attributes);
		v.readres_u.reply.data.data_val = block; v.readres_u.reply.data.data_len = 5);
	CASE(readres, "readres error", v.status = NFSERR_ISDIR);
	CASE(writeargs, "writeargs", set_handle(&v.file, 5); v.beginoffset = 1; v.offset = 2; v.totalcount = 3;
		v.data.data_val = block; v.data.data_len = 6);
	CASE(createargs, "createargs", set_where(&v.where, 6, "new"); set_sattr(&v.attributes));
	CASE(renameargs, "renameargs", set_where(&v.from, 7, "a"); set_where(&v.to, 8, "bb"));
	CASE(linkargs, "linkargs", set_handle(&v.from, 9); set_where(&v.to, 10, "ccc"));
	CASE(symlinkargs, "symlinkargs", set_where(&v.from, 11, "s"); v.to = "t/u"; set_sattr(&v.attributes));
	CASE(nfscookie, "nfscookie", memcpy(v, "\1\2\3\4", 4));
	CASE(readdirargs, "readdirargs", set_handle(&v.dir, 12); memcpy(v.cookie, "\0\0\0\7", 4); v.count = 4096);
	CASE(entry, "entry", v = entries[0]);
	CASE(dirlist, "dirlist empty", v.eof = 1);
	CASE(dirlist, "dirlist", v.entries = entries; v.eof = 0);
	CASE(readdirres, "readdirres ok", v.status = NFS_OK; v.readdirres_u.reply.entries = entries; v.readdirres_u.reply.eof = 1);
	CASE(readdirres, "readdirres error", v.status = NFSERR_NOTDIR);
	CASE(statfsokres, "statfsokres", v.tsize = 1; v.bsize = 2; v.blocks = 3; v.bfree = 4; v.bavail = 4294967295u);
	CASE(statfsres, "statfsres ok", v.status = NFS_OK; v.statfsres_u.reply.tsize = 8192);
	CASE(statfsres, "statfsres error", v.status = NFSERR_PERM);
	return 0;
}
