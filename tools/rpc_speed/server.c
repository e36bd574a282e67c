/* The procedures of echo.x, and a main that says its ports; the rest is what rpcgen makes. */
#include "echo.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <rpc/rpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void speed_program_1(struct svc_req *, SVCXPRT *);

void *speed_null_1_svc(void *argument, struct svc_req *request) {
    static char nothing;
    (void)argument;
    (void)request;
    return &nothing;
}

blob *speed_echo_1_svc(blob *argument, struct svc_req *request) {
    (void)request;
    return argument;
}

static int bound(int kind) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int one = 1, descriptor = socket(AF_INET, kind, 0), buffer = 4 << 20;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) || getsockname(descriptor, (struct sockaddr *)&address, &size))
        exit(1);
    if (kind == SOCK_STREAM)
        listen(descriptor, 64);
    printf("%d ", ntohs(address.sin_port));
    return descriptor;
}

int main(void) {
    SVCXPRT *udp = svc_dg_create(bound(SOCK_DGRAM), 66000, 66000);
    SVCXPRT *tcp = svc_vc_create(bound(SOCK_STREAM), 0, 0);
    if (!udp || !tcp || !svc_reg(udp, SPEED_PROGRAM, SPEED_VERSION, speed_program_1, NULL) ||
        !svc_reg(tcp, SPEED_PROGRAM, SPEED_VERSION, speed_program_1, NULL))
        return 1;
    printf("\n");
    fflush(stdout);
    svc_run();
    return 1;
}
