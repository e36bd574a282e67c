"""Codecs, clients and services generated from xdr_specs/ by tools/regen, one module per .x file."""
