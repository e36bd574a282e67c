"""The codec and the compiler beside others, in one run: microseconds per message, and ratios to what they must reach.

xdrlib3 is the old standard library's codec with calls by hand, one per word; msgspec is a C codec of another
format on the same record, as a ceiling; "recursive" decodes a directory as code generated the plain way does.
"""

import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import timeit
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nfsrpc.protocols import nfs_prot as n
from nfsrpc.rpcgen.compiler import Options, compile_file
from nfsrpc.rpcgen.python.module import generate
from nfsrpc.xdr import DEFAULT_LIMITS

warnings.simplefilter("ignore")
import xdrlib3  # noqa: E402

REPEATS = 7
ENTRIES = 300
LIBVIRT = Path("/tmp/nfsrpc-corpus/libvirt")
FATTR_FIELDS = "type mode nlink uid gid size blocksize rdev blocks fsid fileid".split()  # noqa: SIM905
TIMES = ("atime", "mtime", "ctime")

FATTR = n.fattr(
    n.NFREG, 0o100644, 1, 1000, 1000, 8192, 4096, 0, 16, 77, 4711,
    n.nfstime(1, 2), n.nfstime(3, 4), n.nfstime(5, 6),
)  # fmt: skip
READ = n.readres(n.NFS_OK, n.readokres(FATTR, bytes(8192)))


def directory(length: int) -> n.readdirres:
    """Return a READDIR reply with `length` names."""
    first = None
    for number in reversed(range(length)):
        first = n.entry(number + 1, b"file%05d" % number, struct.pack(">I", number), first)
    return n.readdirres(n.NFS_OK, n.dirlist(first, True))


def best(action: Callable[[], Any], per_message: int = 1) -> float:
    """Return microseconds for one `action`: the best of several runs of some 20 ms each."""
    number = max(int(0.02 / max(timeit.timeit(action, number=1), 1e-7)), 1)
    return min(timeit.repeat(action, number=number, repeat=REPEATS)) / number / per_message * 1e6


# xdrlib: one call per word


def pack_fattr(packer: Any, value: Any) -> None:
    packer.pack_enum(value.type)
    for name in FATTR_FIELDS[1:]:
        packer.pack_uint(getattr(value, name))
    for name in TIMES:
        time = getattr(value, name)
        packer.pack_uint(time.seconds)
        packer.pack_uint(time.useconds)


def unpack_fattr(unpacker: Any) -> Any:
    uint = unpacker.unpack_uint
    kind = n.ftype(unpacker.unpack_enum())
    words = [uint() for _ in range(10)]
    times = [n.nfstime(uint(), uint()) for _ in range(3)]
    return n.fattr(kind, *words, *times)


def xdrlib_encode_fattr() -> bytes:
    packer = xdrlib3.Packer()
    pack_fattr(packer, FATTR)
    return bytes(packer.get_buffer())


def xdrlib_encode_read() -> bytes:
    packer = xdrlib3.Packer()
    packer.pack_enum(READ.status)
    pack_fattr(packer, READ.reply.attributes)
    packer.pack_opaque(READ.reply.data)
    return bytes(packer.get_buffer())


def xdrlib_decode_read(data: bytes) -> Any:
    unpacker = xdrlib3.Unpacker(data)
    status = n.nfsstat(unpacker.unpack_enum())
    value = n.readres(status, n.readokres(unpack_fattr(unpacker), unpacker.unpack_opaque()))
    unpacker.done()
    return value


class PlainPacker(xdrlib3.Packer):  # type: ignore[misc]
    """What a plain compiler (pynfs's) makes: a method per type, a hook per value, a list by recursion."""

    def hook(self, name: str, value: Any) -> Any:
        return getattr(self, f"filter_{name}")(value) if hasattr(self, f"filter_{name}") else value

    def pack_filename(self, value: bytes) -> None:
        value = self.hook("filename", value)
        if len(value) > n.NFS_MAXNAMLEN:
            raise ValueError("too long")
        self.pack_string(value)

    def pack_nfscookie(self, value: bytes) -> None:
        self.pack_fopaque(n.NFS_COOKIESIZE, self.hook("nfscookie", value))

    def pack_entry(self, value: Any) -> None:
        value = self.hook("entry", value)
        self.pack_uint(value.fileid)
        self.pack_filename(value.name)
        self.pack_nfscookie(value.cookie)
        self.pack_array([value.nextentry] if value.nextentry else [], self.pack_entry)

    def pack_readdirres(self, value: Any) -> None:
        self.pack_enum(value.status)
        self.pack_array([value.reply.entries], self.pack_entry)
        self.pack_bool(value.reply.eof)


class PlainUnpacker(xdrlib3.Unpacker):  # type: ignore[misc]
    """The other direction."""

    def hook(self, name: str, value: Any) -> Any:
        return getattr(self, f"filter_{name}")(value) if hasattr(self, f"filter_{name}") else value

    def unpack_filename(self) -> bytes:
        value = self.unpack_string()
        if len(value) > n.NFS_MAXNAMLEN:
            raise ValueError("too long")
        return bytes(self.hook("filename", value))

    def unpack_nfscookie(self) -> bytes:
        return bytes(self.hook("nfscookie", self.unpack_fopaque(n.NFS_COOKIESIZE)))

    def unpack_entry(self) -> Any:
        fileid, name, cookie = self.unpack_uint(), self.unpack_filename(), self.unpack_nfscookie()
        following = self.unpack_array(self.unpack_entry)
        if len(following) > 1:
            raise ValueError("too long")
        return self.hook("entry", n.entry(fileid, name, cookie, following[0] if following else None))

    def unpack_readdirres(self) -> Any:
        status = n.nfsstat(self.unpack_enum())
        entries = self.unpack_array(self.unpack_entry)
        return n.readdirres(status, n.dirlist(entries[0] if entries else None, self.unpack_bool()))


def recursive_directory(data: bytes) -> Any:
    unpacker = PlainUnpacker(data)
    value = unpacker.unpack_readdirres()
    unpacker.done()
    return value


def recursive_encode_directory(value: Any) -> bytes:
    packer = PlainPacker()
    packer.pack_readdirres(value)
    return bytes(packer.get_buffer())


# msgspec: the same record as a typed Struct


class Time(msgspec.Struct):
    seconds: int
    useconds: int


class Attributes(msgspec.Struct):
    type: int
    mode: int
    nlink: int
    uid: int
    gid: int
    size: int
    blocksize: int
    rdev: int
    blocks: int
    fsid: int
    fileid: int
    atime: Time
    mtime: Time
    ctime: Time


class ReadReply(msgspec.Struct):
    status: int
    attributes: Attributes
    data: bytes


ATTRIBUTES = Attributes(
    *(int(getattr(FATTR, name)) for name in FATTR_FIELDS),
    *(Time(getattr(FATTR, name).seconds, getattr(FATTR, name).useconds) for name in TIMES),
)


def codec_pair(encode: Callable[[Any, list[bytes]], None], decode: Any, value: Any) -> tuple[float, float, bytes]:
    """Return our times to encode and decode `value`, and its bytes."""

    def encode_once() -> bytes:
        out: list[bytes] = []
        encode(value, out)
        return b"".join(out)

    data = encode_once()
    return best(encode_once), best(lambda: decode(data, 0, DEFAULT_LIMITS)), data


def line(label: str, encoding: float, decoding: float, reference: float = 0) -> None:
    """Print one row: encode, decode, both, and how many times as fast as the reference."""
    both = encoding + decoding
    ratio = f"{reference / both:9.1f}" if reference else ""
    print(f"{label:<34}{encoding:10.2f}{decoding:10.2f}{both:10.2f}{ratio}")


def messages() -> None:
    """Compare the three messages that matter."""
    print(f"{'µs per message':<34}{'encode':>10}{'decode':>10}{'both':>10}{'× old':>9}")
    encoder = msgspec.msgpack.Encoder()
    for label, encode, decode, value, old_encode, old_decode, record, kind in (
        ("fattr", n.encode_fattr, n.decode_fattr, FATTR, xdrlib_encode_fattr,
         lambda data: unpack_fattr(xdrlib3.Unpacker(data)), ATTRIBUTES, Attributes),
        ("READ reply 8 KiB", n.encode_readres, n.decode_readres, READ, xdrlib_encode_read,
         xdrlib_decode_read, ReadReply(0, ATTRIBUTES, bytes(8192)), ReadReply),
    ):  # fmt: skip
        ours_encode, ours_decode, data = codec_pair(encode, decode, value)
        assert old_encode() == data
        assert old_decode(data) == value
        old = best(old_encode), best(lambda: old_decode(data))  # noqa: B023
        decoder, packed = msgspec.msgpack.Decoder(kind), encoder.encode(record)
        ceiling = best(lambda: encoder.encode(record)), best(lambda: decoder.decode(packed))  # noqa: B023
        line(f"{label}: nfsrpc", ours_encode, ours_decode, sum(old))
        line(f"{label}: xdrlib3", *old)
        line(f"{label}: msgspec msgpack (C)", *ceiling, sum(old))
        print(f"    {(ours_encode + ours_decode) / sum(ceiling):.2f} × msgspec (at most 3)")
    sys.setrecursionlimit(10_000)  # the plain way needs several frames an entry
    value = directory(ENTRIES)
    ours_encode, ours_decode, data = codec_pair(n.encode_readdirres, n.decode_readdirres, value)
    assert recursive_directory(data) == value
    assert recursive_encode_directory(value) == data
    old = best(lambda: recursive_encode_directory(value)), best(lambda: recursive_directory(data))
    line(f"READDIR {ENTRIES}: nfsrpc", ours_encode, ours_decode, sum(old))
    line(f"READDIR {ENTRIES}: recursive", *old)
    print(f"    decode alone {old[1] / ours_decode:.1f} × (at least 5)")


# The compiler


def synthetic(lines: int) -> str:
    """Return about `lines` lines of .x in the proportions of a real protocol: structs, enums, unions, a program."""
    text, procedures, number = [], [], 0
    while sum(part.count("\n") + 1 for part in text) + len(procedures) < lines:
        number += 1
        text.append(
            f"enum kind{number} {{\n    ONE{number} = 1,\n    TWO{number} = 2,\n    TEN{number} = 10\n}};\n"
            f"struct args{number} {{\n    unsigned int id;\n    kind{number} kind;\n    string name<255>;\n"
            f"    opaque uuid[16];\n    hyper offset;\n}};\n"
            f"struct result{number} {{\n    args{number} asked;\n    unsigned int flags<64>;\n    int error;\n}};\n"
            f"union answer{number} switch (kind{number} kind) {{\ncase ONE{number}:\n    result{number} value;\n"
            "default:\n    void;\n};\n"
        )
        procedures.append(f"        answer{number} CALL{number}(args{number}) = {number};")
    body = "\n".join(procedures)
    return "\n".join(text) + f"\nprogram BENCH {{\n    version ONE {{\n{body}\n    }} = 1;\n}} = 536870912;\n"


def seconds(command: list[str], cwd: Path) -> float:
    """Return the median wall time of a command over several runs."""
    # As installed packages run: with their bytecode kept.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(cwd)

    def run() -> None:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, env=environment)

    run()
    return statistics.median(timeit.repeat(run, number=1, repeat=REPEATS))


def compiler() -> None:
    """Compare the compiler with the C rpcgen on 7 000 lines, and the import of 1 000 with the standard library's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = sorted(LIBVIRT.rglob("remote_protocol.x"))
        source = folder / "big.x"
        text = found[0].read_text() if found else synthetic(7000)
        source.write_text(text)
        defines = {n: str(v) for v, n in enumerate(libvirt_names(), 1)} if found else {}
        compile_time = best(lambda: generate(compile_file(source, Options(defines=defines)).spec)) / 1e6
        what = "libvirt" if found else "synthetic"
        print(f"compile {text.count(chr(10))} lines ({what}): {compile_time:.3f} s in process")
        whole = [str(Path(sys.executable).with_name("nfsrpc")), "gen", "big.x", "-o", "out.py"]
        whole += [part for key, value in defines.items() for part in ("-D", f"{key}={value}")]
        print(f"    nfsrpc gen, whole process: {seconds(whole, folder):.3f} s")
        if shutil.which("rpcgen"):
            c = seconds(["rpcgen", "-h", "big.x"], folder) + seconds(["rpcgen", "-c", "big.x"], folder)
            print(f"    rpcgen -h and -c: {c:.3f} s; ours takes {compile_time / c:.1f} × (at most 10)")
        (folder / "thousand.x").write_text(synthetic(1000))
        (folder / "thousand.py").write_text(generate(compile_file(folder / "thousand.x").spec))
        run = [sys.executable, "-c"]
        bare = seconds([*run, "pass"], folder)
        standard = seconds([*run, "import dataclasses, enum"], folder) - bare
        ours = seconds([*run, "import thousand"], folder) - bare
        print(f"import of 1000 lines: {ours * 1e3:.1f} ms; dataclasses and enum {standard * 1e3:.1f} ms; "
              f"{ours / standard:.2f} × (at most 3)")  # fmt: skip


def libvirt_names() -> list[str]:
    """Return the constants that libvirt's protocol takes from C headers."""
    kinds = ("INT", "UINT", "LLONG", "ULLONG", "DOUBLE", "BOOLEAN", "STRING")
    sizes = ["VIR_UUID_BUFLEN", "VIR_SECURITY_MODEL_BUFLEN", "VIR_SECURITY_LABEL_BUFLEN", "VIR_SECURITY_DOI_BUFLEN"]
    return [*(f"VIR_TYPED_PARAM_{kind}" for kind in kinds), *sizes]


def main() -> None:
    """Print everything."""
    messages()
    compiler()


if __name__ == "__main__":
    main()
