"""What tests of RPC and NFS code need: a network that misbehaves on demand."""
