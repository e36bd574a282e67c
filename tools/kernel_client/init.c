/* The guest's first process.  The guest's root is the host's own file tree
 * (hostfs, read-only) under a throw-away copy-on-write overlay in guest memory,
 * so every program and path of the host can be used in the guest and nothing
 * that it writes outside the NFS mount and the job directory reaches the host.
 *
 * The job directory ($kernel_client_job, from the kernel's command line) holds
 * the orders, one file each: seed, mtu, source and options of the mount (no
 * source: no mount), uid, gid, command.  What comes back in it: status or
 * error, times, mountstats, dmesg.  The command's standard output and error
 * leave through the serial lines ttyS0 and ttyS1, which the host reads as they
 * are written; a file in hostfs would show up late. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/route.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define JOB "/run/job"
#define MOUNT_POINT "/run/nfs"
#define GUEST_ADDRESS "10.0.2.15"
#define GATEWAY "10.0.2.2"

static void put(const char *name, const char *mode, const char *format, ...)
{
	char path[256];
	snprintf(path, sizeof path, JOB "/%s", name);
	FILE *f = fopen(path, mode);
	if (!f)
		return;
	va_list args;
	va_start(args, format);
	vfprintf(f, format, args);
	va_end(args);
	fclose(f);
}

/* The text of the job's file NAME without its last newline; "" if there is none. */
static const char *get(const char *name, char *text, size_t size)
{
	char path[256];
	snprintf(path, sizeof path, JOB "/%s", name);
	size_t n = 0;
	FILE *f = fopen(path, "r");
	if (f) {
		n = fread(text, 1, size - 1, f);
		fclose(f);
	}
	if (n && text[n - 1] == '\n')
		n--;
	text[n] = 0;
	return text;
}

static void power_off(void)
{
	static char log[1 << 18];
	int n = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof log);
	put("dmesg", "w", "%.*s", n > 0 ? n : 0, log);
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void fail(const char *what)
{
	put("error", "w", "guest: %s: %s\n", what, strerror(errno));
	fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
	power_off();
}

static void must(int result, const char *what)
{
	if (result < 0)
		fail(what);
}

static void stamp(const char *what)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	put("times", "a", "%s %ld.%03ld\n", what, (long)t.tv_sec, t.tv_nsec / 1000000);
}

static void build_root(const char *job)
{
	must(mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755"), "tmpfs on /mnt");
	must(mkdir("/mnt/up", 0755), "/mnt/up");
	must(mkdir("/mnt/work", 0755), "/mnt/work");
	must(mkdir("/mnt/root", 0755), "/mnt/root");
	must(mount("overlay", "/mnt/root", "overlay", 0, "lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work"), "overlay");
	must(chdir("/mnt/root"), "chdir");
	static const struct { const char *type, *where, *data; } mounts[] = {
		{"proc", "proc", ""}, {"sysfs", "sys", ""}, {"devtmpfs", "dev", ""},
		{"devpts", "dev/pts", "ptmxmode=666"}, {"tmpfs", "dev/shm", "mode=1777"},
		{"tmpfs", "run", "mode=755"},
	};
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
		mkdir(mounts[i].where, 0755);
		must(mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, mounts[i].data), mounts[i].where);
	}
	must(mkdir("run/nfs", 0755), MOUNT_POINT);
	must(mkdir("run/job", 0755), JOB);
	must(mount("none", "run/job", "hostfs", 0, job), JOB);
	must(chroot("."), "chroot");
	must(chdir("/"), "chdir");
}

static void raw_serial_lines(void)
{
	for (const char *const *tty = (const char *const[]){"/dev/ttyS0", "/dev/ttyS1", NULL}; *tty; tty++) {
		struct termios t;
		int fd = open(*tty, O_RDWR | O_NOCTTY);
		must(fd, *tty);
		must(tcgetattr(fd, &t), *tty);
		cfmakeraw(&t);
		must(tcsetattr(fd, TCSADRAIN, &t), *tty);
		close(fd);
	}
}

/* A new guest's random pool is empty: without this getrandom() waits for ever. */
static void seed_random_pool(void)
{
	struct { struct rand_pool_info info; char data[64]; } r = {.info = {.entropy_count = 512, .buf_size = 64}};
	int in = open(JOB "/seed", O_RDONLY), pool = open("/dev/urandom", O_WRONLY);
	must(in, "seed");
	must(pool, "/dev/urandom");
	if (read(in, r.info.buf, sizeof r.data) != sizeof r.data)
		fail("seed");
	must(ioctl(pool, RNDADDENTROPY, &r), "RNDADDENTROPY");
	close(in);
	close(pool);
}

static void set_address(struct sockaddr *a, const char *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)a;
	in->sin_family = AF_INET;
	inet_pton(AF_INET, address, &in->sin_addr);
}

static void bring_up(int s, const char *name, const char *address, const char *mask, int mtu)
{
	struct ifreq r = {0};
	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	set_address(&r.ifr_addr, address);
	must(ioctl(s, SIOCSIFADDR, &r), name);
	set_address(&r.ifr_addr, mask);
	must(ioctl(s, SIOCSIFNETMASK, &r), name);
	if (mtu) {
		r.ifr_mtu = mtu;
		must(ioctl(s, SIOCSIFMTU, &r), name);
	}
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	must(ioctl(s, SIOCSIFFLAGS, &r), name);
}

static void bring_up_network(void)
{
	char text[32];
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	must(s, "socket");
	bring_up(s, "lo", "127.0.0.1", "255.0.0.0", 0);
	bring_up(s, "vec0", GUEST_ADDRESS, "255.255.255.0", atoi(get("mtu", text, sizeof text)));
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
	set_address(&route.rt_dst, "0.0.0.0");
	set_address(&route.rt_genmask, "0.0.0.0");
	set_address(&route.rt_gateway, GATEWAY);
	must(ioctl(s, SIOCADDRT, &route), "default route");
	close(s);
}

/* mount(2) with a text option string: the kernel itself speaks MOUNT and NFS,
 * so no mount.nfs (which refuses version 2 today) is needed. */
static int mount_export(void)
{
	char source[1200], options[4096];
	if (!*get("source", source, sizeof source))
		return 0;
	get("options", options, sizeof options);
	if (mount(source, MOUNT_POINT, "nfs", 0, options) < 0) {
		put("error", "w", "mount %s (%s): %s\n", source, options, strerror(errno));
		power_off();
	}
	return 1;
}

static void run_command(const char *where)
{
	char uid[32], gid[32];
	setsid();
	int out = open("/dev/ttyS0", O_WRONLY | O_NOCTTY), err = open("/dev/ttyS1", O_WRONLY | O_NOCTTY);
	int in = open("/dev/null", O_RDONLY);
	if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(125);
	close(in);
	close(out);
	close(err);
	get("uid", uid, sizeof uid);
	get("gid", gid, sizeof gid);
	if (chdir(where) < 0) {
		perror(where);
		_exit(125);
	}
	if (*uid && (setgroups(0, NULL) || setgid(atoi(gid)) || setuid(atoi(uid)))) {
		perror("setuid");
		_exit(125);
	}
	execl("/bin/sh", "sh", JOB "/command", (char *)NULL);
	perror("/bin/sh");
	_exit(127);
}

static int wait_for(pid_t command)
{
	int status;
	pid_t ended;
	while ((ended = wait(&status)) != command)	/* orphans are ours to collect as well */
		if (ended < 0 && errno != EINTR)
			fail("wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void copy_mountstats(void)
{
	char block[8192];
	size_t n;
	FILE *from = fopen("/proc/self/mountstats", "r"), *to = fopen(JOB "/mountstats", "w");
	while (from && to && (n = fread(block, 1, sizeof block, from)) > 0)
		fwrite(block, 1, n, to);
	if (from)
		fclose(from);
	if (to)
		fclose(to);
}

int main(void)
{
	const char *job = getenv("kernel_client_job");
	if (getpid() != 1 || !job) {
		fprintf(stderr, "init.c: the first process of the guest of tools/kernel_client/run\n");
		return 2;
	}
	char job_path[512], debug[8];
	snprintf(job_path, sizeof job_path, "%s", job);
	build_root(job_path);
	raw_serial_lines();
	seed_random_pool();
	sethostname("kernel-client", 13);
	bring_up_network();
	if (*get("debug", debug, sizeof debug)) {
		FILE *f = fopen("/proc/sys/sunrpc/nfs_debug", "w");
		if (f) {
			fputs("65535\n", f);
			fclose(f);
		}
	}
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TMPDIR", "/tmp", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("NFSDIR", MOUNT_POINT, 1);
	setenv("JOB", JOB, 1);
	stamp("up");
	int mounted = mount_export();
	stamp("mounted");
	pid_t command = fork();
	must(command, "fork");
	if (command == 0)
		run_command(mounted ? MOUNT_POINT : "/");
	int status = wait_for(command);
	stamp("done");
	kill(-1, SIGKILL);	/* what the command left running would keep the mount busy */
	copy_mountstats();
	if (mounted && umount2(MOUNT_POINT, 0) < 0) {
		fprintf(stderr, "guest: umount: %s\n", strerror(errno));
		umount2(MOUNT_POINT, MNT_FORCE | MNT_DETACH);
	}
	stamp("unmounted");
	put("status", "w", "%d\n", status);
	raw_serial_lines();	/* TCSADRAIN: what the command wrote has left */
	power_off();
}
