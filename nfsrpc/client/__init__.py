"""Remote files like local ones.

    from nfsrpc.client import mount

    with mount("nfs://server/export?uid=0") as m:
        m.makedirs("a/b", exist_ok=True)
        with m.open("a/b/hello", "w") as file:
            file.write("hello")
        for path, directories, files in m.walk("a"):
            ...
        print((m / "a" / "b" / "hello").read_text())

`mount(url, **options)` returns a `Mount`. `url` may name a directory or a file; paths given to methods count
from there (``""`` is what the URL names), are str, bytes or path-like, and need no slash in front. The arguments
of a URL are listed at `parse_url`, the options at `Options`; options stand above the URL.

A `Mount` has, with the arguments, results and errors of their namesakes in `os`, `os.path`, `glob` and `shutil`:
``listdir scandir walk glob stat lstat exists isfile isdir islink readlink symlink link mkdir makedirs mknod rmdir
rmtree remove unlink rename replace chmod chown utime truncate statvfs``; further ``read_bytes write_bytes read_text
write_text``, ``path(...)`` and ``/`` (`RemotePath`, with the habits of `pathlib.Path`), ``fsync(file)``, ``close()``.

``m.open(path, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *, permissions=0o666)`` is the
built-in `open`: all its modes, text and binary, the classes of `io`. With ``buffering=0`` it returns the `RemoteFile`
(an `io.RawIOBase`), which also has ``pread(size, offset)``, ``pwrite(data, offset)``, ``fsync()``, ``stat()``; the
position is not touched by the first two, and many threads may use them.

Errors of the server are `OSError` of the right subclass, `filename` is the whole path on the server
(``/export/a/b``). A server that does not answer: a hard mount (the default) waits for it for ever and goes on when it
is back, a soft one (``hard=False``, ``?soft``) raises `TimeoutError`. Only `mount` itself raises the errors of
`nfsrpc.rpc.errors`, and `BadUrl`.

One mount may be used by any number of threads; their calls share one connection and are in flight together.

Consistency is close-to-open, as of every NFS client: whoever opens a file sees what was there when the last writer
closed it. Attributes and names are believed for 3 to 60 seconds (`Options`), those of a file being opened never.
"""

from .blocking import Mount, mount
from .listing import RemoteEntry
from .options import Options
from .paths import RemotePath
from .stream import RemoteFile
from .url import BadUrl, NfsUrl, parse_url

__all__ = ["BadUrl", "Mount", "NfsUrl", "Options", "RemoteEntry", "RemoteFile", "RemotePath", "mount", "parse_url"]
