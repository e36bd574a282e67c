/* A read-only NFSv2 server as the C library's tools make one: nfs_prot.x and mount.x through rpcgen, libtirpc's
 * svc_run, and what is below written by hand. Serves one directory over UDP and TCP; prints its port.
 *
 * It is meant to be as fast as such a server can be: every file that was looked up stays open, so GETATTR is one
 * fstat and READ one fstat and one pread; nobody's rights are checked. */
#include "mount.h"
#include "nfs_prot.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <rpc/rpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILES 1024		/* open at once; a power of two, twice what is let in */
#define ENTRIES 512		/* of one READDIR reply */

void nfs_program_2(struct svc_req *, SVCXPRT *);

static struct file {
	ino_t inode;		/* 0: the place is empty */
	int fd;
	DIR *names;
} files[FILES];
static int opened;

static nfsstat status_of(int number)
{
	switch (number) {
	case EPERM: return NFSERR_PERM;
	case ENOENT: return NFSERR_NOENT;
	case EACCES: return NFSERR_ACCES;
	case ENOTDIR: return NFSERR_NOTDIR;
	case EISDIR: return NFSERR_ISDIR;
	case EINVAL: return NFSERR_INVAL;
	case ENAMETOOLONG: return NFSERR_NAMETOOLONG;
	default: return NFSERR_IO;
	}
}

/* The place of an inode, or the empty one where it would go. */
static struct file *place_of(ino_t inode)
{
	size_t at = inode * 0x9e3779b97f4a7c15ull >> 54;
	while (files[at].inode && files[at].inode != inode)
		at = (at + 1) % FILES;
	return &files[at];
}

/* NULL: the handle is none of ours. */
static struct file *file_of(const char *handle)
{
	ino_t inode;
	memcpy(&inode, handle, sizeof inode);
	struct file *f = inode ? place_of(inode) : NULL;
	return f && f->inode ? f : NULL;
}

static void fill_attributes(fattr *a, const struct stat *s)
{
	static const ftype types[16] = {[1] = NFFIFO, [2] = NFCHR, [4] = NFDIR, [6] = NFBLK, [8] = NFREG, [10] = NFLNK, [12] = NFSOCK};
	*a = (fattr){types[s->st_mode >> 12 & 15], s->st_mode, s->st_nlink, s->st_uid, s->st_gid, s->st_size, s->st_blksize,
		     s->st_rdev, s->st_blocks, s->st_dev, s->st_ino, {s->st_atim.tv_sec, s->st_atim.tv_nsec / 1000},
		     {s->st_mtim.tv_sec, s->st_mtim.tv_nsec / 1000}, {s->st_ctim.tv_sec, s->st_ctim.tv_nsec / 1000}};
}

/* Opens NAME below `dir` unless it is open, and fills handle and attributes. */
static nfsstat open_name(int dir, const char *name, char *handle, fattr *attributes)
{
	struct stat s;
	if (fstatat(dir, name, &s, AT_SYMLINK_NOFOLLOW))
		return status_of(errno);
	struct file *f = place_of(s.st_ino);
	if (!f->inode) {
		int kind = S_ISREG(s.st_mode) || S_ISDIR(s.st_mode) ? O_RDONLY : O_PATH;
		int fd = opened < FILES / 2 ? openat(dir, name, kind | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (fd < 0)
			return NFSERR_IO;
		*f = (struct file){s.st_ino, fd, NULL};
		opened++;
	}
	memset(handle, 0, NFS_FHSIZE);
	memcpy(handle, &s.st_ino, sizeof s.st_ino);
	fill_attributes(attributes, &s);
	return NFS_OK;
}

static nfsstat attributes_of(const struct file *f, fattr *attributes)
{
	struct stat s;
	if (!f)
		return NFSERR_STALE;
	if (fstat(f->fd, &s))
		return status_of(errno);
	fill_attributes(attributes, &s);
	return NFS_OK;
}

void *nfsproc_null_2_svc(void *a, struct svc_req *r) { static char nothing; (void)a, (void)r; return &nothing; }
void *nfsproc_root_2_svc(void *a, struct svc_req *r) { return nfsproc_null_2_svc(a, r); }
void *nfsproc_writecache_2_svc(void *a, struct svc_req *r) { return nfsproc_null_2_svc(a, r); }

attrstat *nfsproc_getattr_2_svc(nfs_fh *a, struct svc_req *r)
{
	static attrstat result;
	(void)r;
	result.status = attributes_of(file_of(a->data), &result.attrstat_u.attributes);
	return &result;
}

diropres *nfsproc_lookup_2_svc(diropargs *a, struct svc_req *r)
{
	static diropres result;
	diropokres *ok = &result.diropres_u.diropres;
	struct file *dir = file_of(a->dir.data);
	(void)r;
	/* ".." of the root would lead out of what is served, and a "/" is no part of a name */
	int inside = strcmp(a->name, "..") && !strchr(a->name, '/');
	result.status = !dir ? NFSERR_STALE : !inside ? NFSERR_ACCES : open_name(dir->fd, a->name, ok->file.data, &ok->attributes);
	return &result;
}

readlinkres *nfsproc_readlink_2_svc(nfs_fh *a, struct svc_req *r)
{
	static readlinkres result;
	static char path[NFS_MAXPATHLEN + 1];
	struct file *f = file_of(a->data);
	(void)r;
	ssize_t n = f ? readlinkat(f->fd, "", path, NFS_MAXPATHLEN) : 0;
	result.status = !f ? NFSERR_STALE : n < 0 ? status_of(errno) : NFS_OK;
	path[n < 0 ? 0 : n] = 0;
	result.readlinkres_u.data = path;
	return &result;
}

readres *nfsproc_read_2_svc(readargs *a, struct svc_req *r)
{
	static readres result;
	static char data[NFS_MAXDATA];
	readokres *ok = &result.readres_u.reply;
	struct file *f = file_of(a->file.data);
	(void)r;
	result.status = attributes_of(f, &ok->attributes);
	if (result.status != NFS_OK)
		return &result;
	ssize_t n = pread(f->fd, data, a->count < NFS_MAXDATA ? a->count : NFS_MAXDATA, a->offset);
	if (n < 0)
		result.status = status_of(errno);
	ok->data.data_val = data;
	ok->data.data_len = n < 0 ? 0 : n;
	return &result;
}

/* A cookie is the number of the entry that follows. */
readdirres *nfsproc_readdir_2_svc(readdirargs *a, struct svc_req *r)
{
	static readdirres result;
	static entry entries[ENTRIES];
	static char names[ENTRIES][NFS_MAXNAMLEN + 1];
	dirlist *list = &result.readdirres_u.reply;
	struct file *f = file_of(a->dir.data);
	unsigned int skip, room = 16, count = 0, number = 0;
	struct dirent *found = NULL;
	(void)r;
	if (f && !f->names)
		f->names = fdopendir(openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	result.status = !f ? NFSERR_STALE : !f->names ? NFSERR_NOTDIR : NFS_OK;
	if (result.status != NFS_OK)
		return &result;
	memcpy(&skip, a->cookie, sizeof skip);
	skip = ntohl(skip);
	rewinddir(f->names);
	while (count < ENTRIES && (found = readdir(f->names))) {
		if (number++ < skip)
			continue;
		room += 16 + ((strlen(found->d_name) + 3) & ~3u);
		if (room > a->count)
			break;
		uint32_t cookie = htonl(number);
		entry *e = &entries[count];
		*e = (entry){.fileid = found->d_ino, .name = strcpy(names[count], found->d_name)};
		memcpy(e->cookie, &cookie, sizeof cookie);
		if (count++)
			e[-1].nextentry = e;
	}
	list->entries = count ? entries : NULL;
	list->eof = !found;
	return &result;
}

statfsres *nfsproc_statfs_2_svc(nfs_fh *a, struct svc_req *r)
{
	static statfsres result;
	struct file *f = file_of(a->data);
	struct statvfs s;
	(void)r;
	result.status = !f ? NFSERR_STALE : fstatvfs(f->fd, &s) ? status_of(errno) : NFS_OK;
	if (result.status == NFS_OK)
		result.statfsres_u.reply = (statfsokres){NFS_MAXDATA, s.f_bsize, s.f_blocks, s.f_bfree, s.f_bavail};
	return &result;
}

/* What would change something. */
static attrstat no_attributes = {.status = NFSERR_ROFS};
static diropres no_file = {.status = NFSERR_ROFS};
static nfsstat refused = NFSERR_ROFS;
attrstat *nfsproc_setattr_2_svc(sattrargs *a, struct svc_req *r) { (void)a, (void)r; return &no_attributes; }
attrstat *nfsproc_write_2_svc(writeargs *a, struct svc_req *r) { (void)a, (void)r; return &no_attributes; }
diropres *nfsproc_create_2_svc(createargs *a, struct svc_req *r) { (void)a, (void)r; return &no_file; }
diropres *nfsproc_mkdir_2_svc(createargs *a, struct svc_req *r) { (void)a, (void)r; return &no_file; }
nfsstat *nfsproc_remove_2_svc(diropargs *a, struct svc_req *r) { (void)a, (void)r; return &refused; }
nfsstat *nfsproc_rename_2_svc(renameargs *a, struct svc_req *r) { (void)a, (void)r; return &refused; }
nfsstat *nfsproc_link_2_svc(linkargs *a, struct svc_req *r) { (void)a, (void)r; return &refused; }
nfsstat *nfsproc_symlink_2_svc(symlinkargs *a, struct svc_req *r) { (void)a, (void)r; return &refused; }
nfsstat *nfsproc_rmdir_2_svc(diropargs *a, struct svc_req *r) { (void)a, (void)r; return &refused; }

static const char *served;

/* Of MOUNT version 1 only what a client needs to begin. */
static void mount_program_1(struct svc_req *r, SVCXPRT *from)
{
	dirpath path = NULL;
	fhstatus result;
	fattr unused;
	if (r->rq_proc == MOUNTPROC_NULL) {
		svc_sendreply(from, (xdrproc_t)(void (*)(void))xdr_void, NULL);
	} else if (r->rq_proc != MOUNTPROC_MNT) {
		svcerr_noproc(from);
	} else if (!svc_getargs(from, (xdrproc_t)xdr_dirpath, (caddr_t)&path)) {
		svcerr_decode(from);
	} else {
		result.status = strcmp(path, served) ? ENOENT : (u_int)open_name(AT_FDCWD, served, result.fhstatus_u.directory, &unused);
		svc_sendreply(from, (xdrproc_t)xdr_fhstatus, (caddr_t)&result);
		svc_freeargs(from, (xdrproc_t)xdr_dirpath, (caddr_t)&path);
	}
}

/* A socket on `port` of the loopback; -1 where that is taken. */
static int bound(int kind, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int fd = socket(AF_INET, kind, 0), room = 4 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof at) && (kind == SOCK_DGRAM || !listen(fd, 64)))
		return fd;
	close(fd);
	return -1;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in at;
	socklen_t size = sizeof at;
	return getsockname(fd, (struct sockaddr *)&at, &size) ? 0 : ntohs(at.sin_port);
}

int main(int argc, char **argv)
{
	int udp, tcp = -1;
	if (argc != 2) {
		fprintf(stderr, "usage: rpcgen_server DIRECTORY\n");
		return 2;
	}
	served = argv[1];
	for (int i = 0; i < 100 && tcp < 0; i++) {	/* a port that is free for both */
		udp = bound(SOCK_DGRAM, 0);
		tcp = bound(SOCK_STREAM, port_of(udp));
		if (tcp < 0)
			close(udp);
	}
	SVCXPRT *way[] = {svc_dg_create(udp, 66000, 66000), svc_vc_create(tcp, 0, 0)};
	for (int i = 0; i < 2; i++)
		if (!way[i] || !svc_reg(way[i], NFS_PROGRAM, NFS_VERSION, nfs_program_2, NULL) ||
		    !svc_reg(way[i], MOUNTPROG, MOUNTVERS, mount_program_1, NULL))
			return 1;
	printf("%d\n", port_of(udp));
	fflush(stdout);
	svc_run();
	return 1;
}
