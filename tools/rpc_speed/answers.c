/* Answers the calls of echo.x without looking at them: a header of a successful reply, and the arguments again, which
 * are the result. What comes over TCP together is answered together. A server that costs as little as one can, so that
 * the clients are what is measured. Callers have neither a credential nor a verifier. Prints its UDP and TCP ports. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CALL = 40, REPLY = 24, STREAMS = 16, ROOM = 1 << 18 };

static struct stream { int descriptor; size_t used; unsigned char data[ROOM]; } streams[STREAMS];

/* Makes the reply to a call of `size` bytes; how long it is. */
static size_t answer(const unsigned char *call, size_t size, unsigned char *reply)
{
    if (size < CALL)
        exit(1);
    memset(reply, 0, REPLY);
    memcpy(reply, call, 4);
    reply[7] = 1;
    memcpy(reply + REPLY, call + CALL, size - CALL);
    return size - CALL + REPLY;
}

static void datagrams(int descriptor)
{
    static unsigned char call[1 << 16], reply[1 << 16];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t size;
    while ((size = recvfrom(descriptor, call, sizeof call, MSG_DONTWAIT, (struct sockaddr *)&from, &length)) > 0)
        sendto(descriptor, reply, answer(call, size, reply), 0, (struct sockaddr *)&from, length);
}

/* Takes what has come over one connection; 0 at its end. */
static int records(struct stream *s)
{
    static unsigned char out[ROOM];
    size_t at = 0, leaving = 0;
    ssize_t got = recv(s->descriptor, s->data + s->used, ROOM - s->used, 0);
    if (got <= 0)
        return 0;
    s->used += got;
    while (s->used - at >= 4) {
        uint32_t mark;
        memcpy(&mark, s->data + at, 4);
        size_t size = ntohl(mark) & 0x7fffffff;
        if (s->used - at - 4 < size)
            break;
        size_t answered = answer(s->data + at + 4, size, out + leaving + 4);
        mark = htonl(0x80000000 | answered);
        memcpy(out + leaving, &mark, 4);
        leaving += answered + 4;
        at += size + 4;
    }
    memmove(s->data, s->data + at, s->used -= at);
    for (size_t sent = 0; sent < leaving; sent += got)
        if ((got = send(s->descriptor, out + sent, leaving - sent, MSG_NOSIGNAL)) < 0)
            return 0;
    return 1;
}

static int bound(int kind)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int descriptor = socket(AF_INET, kind, 0);
    if (bind(descriptor, (struct sockaddr *)&address, size) || getsockname(descriptor, (struct sockaddr *)&address, &size))
        exit(1);
    printf("%d ", ntohs(address.sin_port));
    return descriptor;
}

int main(void)
{
    struct pollfd ready[STREAMS + 2] = {{bound(SOCK_DGRAM), POLLIN, 0}, {bound(SOCK_STREAM), POLLIN, 0}};
    listen(ready[1].fd, STREAMS);
    printf("\n");
    fflush(stdout);
    for (int count = 0;;) {
        poll(ready, count + 2, -1);
        if (ready[0].revents)
            datagrams(ready[0].fd);
        for (int i = count - 1; i >= 0; i--) {
            if (!ready[i + 2].revents || records(&streams[i]))
                continue;
            close(streams[i].descriptor);
            streams[i] = streams[--count];
            ready[i + 2] = ready[count + 2];
        }
        if (ready[1].revents && count < STREAMS) {
            streams[count].used = 0;
            streams[count].descriptor = ready[count + 2].fd = accept(ready[1].fd, NULL, NULL);
            ready[count++ + 2].events = POLLIN;
        }
    }
}
