"""Writes what passes over the loopback interface to a pcap file, until standard input ends. Needs CAP_NET_RAW."""

import select
import socket
import struct
import sys
import time

ETH_P_ALL, PACKET_OUTGOING, LINKTYPE_ETHERNET = 3, 4, 1


def main(path):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as s, open(path, "wb") as out:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        s.bind(("lo", ETH_P_ALL))
        out.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, LINKTYPE_ETHERNET))
        print("ready", flush=True)
        s.setblocking(False)
        while True:
            readable = select.select([s, sys.stdin], [], [])[0]
            while True:
                try:
                    frame, address = s.recvfrom(1 << 18)
                except BlockingIOError:
                    break
                # On loopback each packet is seen twice. Those that go out are in the order of their stream; those
                # that come in have been through the queues of several processors.
                if address[2] == PACKET_OUTGOING:
                    now = time.time()
                    out.write(struct.pack("=IIII", int(now), int(now % 1 * 1e6), len(frame), len(frame)) + frame)
            if sys.stdin in readable:
                return


main(sys.argv[1])
