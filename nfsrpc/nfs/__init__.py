"""Handles, exports, access rules, the MOUNT and NFS programs, and a server made of them."""
