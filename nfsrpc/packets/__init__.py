"""RPC on the wire: captures read, calls and replies matched and named, reports, replays.

Everything here reads what others have sent, so nothing trusts a length, and memory is bounded by constants
that stand beside what they bound. Scapy is imported only by `nfsrpc.packets.scapy`.
"""
