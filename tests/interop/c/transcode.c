/*
 * What C's codec makes of bytes. Reads requests from standard input: type (index into the table), length,
 * data; decodes, encodes again, and answers: bytes consumed or -1, length, data. All words big-endian.
 * TABLE is a generated file with one line TYPE(name) per type, HEADER what rpcgen -h made.
 */
#include HEADER
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct type { const char *name; xdrproc_t codec; size_t size; };

#define TYPE(t) { #t, (xdrproc_t)xdr_##t, sizeof(t) },
static const struct type types[] = {
#include TABLE
};

static int get(void *to, size_t size) { return fread(to, 1, size, stdin) == size; }

static void put(int word)
{
    uint32_t raw = htonl((uint32_t)word);
    fwrite(&raw, 4, 1, stdout);
}

int main(void)
{
    /* A count near 2^32 makes libtirpc ask for all of it at once: let that fail, as it would on a small machine. */
    struct rlimit most = { 1u << 30, 1u << 30 };
    setrlimit(RLIMIT_AS, &most);
    static char out[1 << 20];
    uint32_t head[2];
    while (get(head, sizeof head)) {
        const struct type *type = &types[ntohl(head[0])];
        uint32_t size = ntohl(head[1]);
        char *data = malloc(size + 4);
        void *value = calloc(1, type->size);
        if (!data || !value || !get(data, size))
            return 1;
        XDR in, back;
        xdrmem_create(&in, data, size, XDR_DECODE);
        if (!type->codec(&in, value)) {
            put(-1);
            put(0);
        } else {
            xdrmem_create(&back, out, sizeof out, XDR_ENCODE);
            if (!type->codec(&back, value)) {
                put(-2);
                put(0);
            } else {
                put((int)xdr_getpos(&in));
                put((int)xdr_getpos(&back));
                fwrite(out, 1, xdr_getpos(&back), stdout);
            }
        }
        fflush(stdout);
        xdr_free(type->codec, value);
        free(value);
        free(data);
    }
    return 0;
}
