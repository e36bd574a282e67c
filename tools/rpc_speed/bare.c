/* A client of echo.x that does no more than must be done: calls and replies of fixed length through one socket, of each
 * reply the xid and the status looked at. What any client with so many calls in flight can reach at most. Prints the
 * calls a second, and the microseconds of processor time that each took.
 *
 *     bare udp|tcp PORT SIZE CALLS FLIGHT GROUP
 *
 * FLIGHT calls are under way at once, and GROUP of them, 32 at most, are sent together. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { CALL = 40, REPLY = 24, MARK = 4, MOST = 32, ROOM = 1 << 16, PROGRAM = 0x20001234 };

static unsigned char calls[ROOM], replies[ROOM];
static int sock, tcp;
static size_t call_size, reply_size, held;
static uint32_t sent, answered;

static void word(unsigned char *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, 4);
}

static uint32_t word_at(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

/* Calls that lie one behind the other: a mark where there is TCP, the header, and behind it the argument. */
static void prepare(uint32_t size)
{
    size_t mark = tcp ? MARK : 0, argument = size ? 4 + size : 0;
    call_size = mark + CALL + argument;
    reply_size = mark + REPLY + argument;
    for (unsigned char *at = calls; at < calls + MOST * call_size; at += call_size) {
        if (tcp)
            word(at, 0x80000000 | (CALL + argument));
        word(at + mark + 8, 2);
        word(at + mark + 12, PROGRAM);
        word(at + mark + 16, 1);
        word(at + mark + 20, size != 0);
        if (size)
            word(at + mark + CALL, size);
    }
}

/* Over TCP all leave in one piece. */
static void submit(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        word(calls + i * call_size + (tcp ? MARK : 0), sent++);
    size_t piece = tcp ? count * call_size : call_size;
    for (size_t at = 0; at < count * call_size; at += piece)
        if (send(sock, calls + at, piece, 0) != (ssize_t)piece)
            exit(1);
}

static void take(const unsigned char *reply)
{
    reply += tcp ? MARK : 0;
    if (word_at(reply) != answered++ || word_at(reply + 4) != 1 || word_at(reply + 8) || word_at(reply + 20))
        exit(1);
}

/* Waits until calls numbered below `end` are answered; over TCP more may have come with them. */
static void wait_for(uint32_t end)
{
    while (answered < end) {
        ssize_t got = recv(sock, replies + held, sizeof replies - held, 0);
        if (got <= 0)
            exit(1);
        size_t at = 0;
        for (held += got; held - at >= reply_size; at += reply_size)
            take(replies + at);
        memmove(replies, replies + at, held -= at);
    }
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int count, char **words)
{
    if (count != 7 || atoi(words[6]) < 1 || atoi(words[6]) > MOST)
        return 2;
    tcp = !strcmp(words[1], "tcp");
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const unsigned flight = atoi(words[5]), group = atoi(words[6]);
    const uint32_t total = atoi(words[4]) / group * group;
    const int one = 1;
    sock = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (connect(sock, (struct sockaddr *)&peer, sizeof peer))
        return 1;
    if (tcp)
        setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    prepare(atoi(words[3]));
    double began = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID);
    while (sent < total) {
        if (sent - answered + group > flight)
            wait_for(sent + group - flight);
        submit(group);
    }
    wait_for(total);
    used = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
    printf("%f %f\n", total / (seconds(CLOCK_MONOTONIC) - began), used / total * 1e6);
}
