"""Rules of RPC, the portmapper, MOUNT and NFS version 2, tried at the packet level against any server.

    pytest --pyargs nfsrpc.conformance --server HOST[:PORT]

Each test names the RFC section that it is about. It passes, fails, or finds a *known quirk*: another answer
than the text's, which servers in use give and clients live with. Nothing here uses this package's own codec
or client: messages are written and read word by word in `wire`, so that both could be wrong and be found out.
"""
