"""Scapy packets generated from xdr_specs/ by tools/regen; `nfsrpc.packets.scapy` loads them."""
