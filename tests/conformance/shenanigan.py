"""ShenanigaNFS' version 2 server over a file system in memory; prints its port. A program of its own."""

import asyncio
import resource

from shenaniganfs.fs import SimpleDirectory, SimpleFS, VerifyingFileHandleEncoder
from shenaniganfs.fs_manager import FileSystemManager, create_fs
from shenaniganfs.nfs2 import MountV1Service, NFSV2Service
from shenaniganfs.server import TCPTransportServer


class Memory(SimpleFS):
    def __init__(self):
        super().__init__()
        self.read_only = False
        self.num_blocks, self.free_blocks, self.avail_blocks = 4096, 2048, 2048
        self.track_entry(SimpleDirectory(mode=0o777, name=b"", root_dir=True))


async def main():
    manager = FileSystemManager(
        VerifyingFileHandleEncoder(b"a secret"), {b"/export": lambda context: create_fs(Memory, context)}
    )
    server = TCPTransportServer("127.0.0.1", 0)
    server.register_prog(MountV1Service(manager))
    server.register_prog(NFSV2Service(manager))
    running = await server.start()
    print(running.sockets[0].getsockname()[1], flush=True)
    await running.serve_forever()


# It keeps holes in memory: a write at 4 GB shall cost it an error, not this machine its memory.
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
asyncio.run(main())
