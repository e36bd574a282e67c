/* Calls of echo.x in a closed loop: each reply is followed by a new call, so that as many are always in flight on each
 * connection. One reply of each connection is looked at whole, of the others as little as there can be, and nothing is
 * copied that need not be: the server is what is measured. Prints the calls answered a second, and how many never were.
 *
 *     load udp|tcp PORT SIZE CONNECTIONS IN_FLIGHT SECONDS */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { MARK = 4, CALL = 44, REPLY = 28, CONNECTIONS = 64, FLIGHT = 64, ROOM = 1 << 16, PROGRAM = 0x20001234, PATIENCE = 500 };

struct connection { int descriptor; size_t come; unsigned char heads[FLIGHT][MARK + CALL]; };

static struct connection all[CONNECTIONS];
static unsigned char argument[ROOM];
static int flight, call_head, reply_size;
static uint32_t size, xid;

static void need(int true, const char *what)
{
    if (true)
        return;
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* The next call in two parts: its head, behind a record mark, and its argument. */
static void prepare(unsigned char *head, struct iovec parts[2], int mark)
{
    const uint32_t words[] = {htonl(0x80000000 | (call_head + size)), htonl(++xid), 0, htonl(2), htonl(PROGRAM), htonl(1),
                              htonl(size > 0), 0, 0, 0, 0, htonl(size)};
    memcpy(head, words, sizeof words);
    parts[0] = (struct iovec){head + MARK - mark, call_head + mark};
    parts[1] = (struct iovec){argument, size};
}

static void send_datagrams(struct connection *c, int count)
{
    struct mmsghdr messages[FLIGHT] = {0};
    struct iovec parts[FLIGHT][2];
    for (int i = 0; i < count; i++) {
        prepare(c->heads[i], parts[i], 0);
        messages[i].msg_hdr.msg_iov = parts[i];
        messages[i].msg_hdr.msg_iovlen = 2;
    }
    for (int sent = 0, n; sent < count; sent += n)
        need((n = sendmmsg(c->descriptor, messages + sent, count - sent, 0)) > 0, "sendmmsg");
}

static int take_datagrams(struct connection *c)
{
    struct mmsghdr messages[FLIGHT] = {0};
    int count = recvmmsg(c->descriptor, messages, flight, MSG_DONTWAIT | MSG_TRUNC, NULL);
    for (int i = 0; i < count; i++)
        need(messages[i].msg_len == (unsigned)reply_size, "a reply of another length");
    return count < 0 ? 0 : count;
}

static void send_records(struct connection *c, int count)
{
    struct iovec parts[2 * FLIGHT];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2 * count};
    for (int i = 0; i < count; i++)
        prepare(c->heads[i], parts + 2 * i, MARK);
    for (;;) {
        ssize_t n = sendmsg(c->descriptor, &message, MSG_NOSIGNAL);
        need(n > 0, "sendmsg");
        while (message.msg_iovlen && (size_t)n >= message.msg_iov->iov_len) {
            n -= message.msg_iov++->iov_len;
            message.msg_iovlen--;
        }
        if (!message.msg_iovlen)
            return;
        message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
        message.msg_iov->iov_len -= n;
    }
}

static int take_records(struct connection *c)
{
    /* Linux throws away what TCP is told to truncate (tcp(7)). */
    ssize_t got = recv(c->descriptor, NULL, 1 << 20, MSG_DONTWAIT | MSG_TRUNC);
    need(got > 0, "recv");
    c->come += got;
    int count = c->come / (reply_size + MARK);
    c->come %= reply_size + MARK;
    return count;
}

/* One call, and its reply looked at whole. */
static void greet(struct connection *c, int mark, void (*out)(struct connection *, int))
{
    static unsigned char reply[MARK + REPLY + ROOM];
    ssize_t got = 0, n;
    out(c, 1);
    do
        need((n = recv(c->descriptor, reply + got, sizeof reply - got, 0)) > 0, "the first reply");
    while ((got += n) < mark + reply_size);
    const uint32_t words[] = {htonl(0x80000000 | reply_size), htonl(xid), htonl(1), 0, 0, 0, 0, htonl(size)};
    need(got == mark + reply_size && !memcmp(reply, (const char *)words + MARK - mark, mark + reply_size - size) &&
             !memcmp(reply + mark + reply_size - size, argument, size),
         "the first reply is not what it should be");
}

static void open_connection(struct connection *c, int tcp, int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = 5};
    const int on = 1, room = 4 << 20;
    c->descriptor = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    need(!connect(c->descriptor, (const struct sockaddr *)&address, sizeof address), "connect");
    setsockopt(c->descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(c->descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (tcp)
        setsockopt(c->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    else
        setsockopt(c->descriptor, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
}

int main(int argc, char **argv)
{
    struct pollfd ready[CONNECTIONS];
    need(argc == 7, "udp|tcp PORT SIZE CONNECTIONS IN_FLIGHT SECONDS");
    const int tcp = !strcmp(argv[1], "tcp"), connections = atoi(argv[4]);
    void (*const out)(struct connection *, int) = tcp ? send_records : send_datagrams;
    int (*const in)(struct connection *) = tcp ? take_records : take_datagrams;
    size = atoi(argv[3]);
    flight = atoi(argv[5]);
    need(size % 4 == 0 && size < ROOM && connections <= CONNECTIONS && flight <= FLIGHT, "too much, or not a multiple of four");
    call_head = size ? CALL : CALL - 4;
    reply_size = (size ? REPLY : REPLY - 4) + size;
    memset(argument, 'x', sizeof argument);
    for (int i = 0; i < connections; i++) {
        open_connection(&all[i], tcp, atoi(argv[2]));
        greet(&all[i], tcp ? MARK : 0, out);
        ready[i] = (struct pollfd){all[i].descriptor, POLLIN, 0};
    }
    unsigned long asked = (unsigned long)connections * flight, answered = 0, within = 0;
    const double ends = now() + atof(argv[6]);
    for (int i = 0; i < connections; i++)
        out(&all[i], flight);
    while (answered < asked && poll(ready, connections, PATIENCE)) {
        const int open = now() < ends;
        for (int i = 0; i < connections; i++) {
            const int count = ready[i].revents ? in(&all[i]) : 0;
            answered += count;
            if (open && count) {
                within += count;
                asked += count;
                out(&all[i], count);
            }
        }
    }
    printf("%.1f %lu\n", within / atof(argv[6]), asked - answered);
    return 0;
}
