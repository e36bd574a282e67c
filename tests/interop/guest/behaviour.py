"""Runs in the guest: does what programs do with files, in a directory, and prints what came of it.

The transcript holds nothing that may differ between two correct file systems (inode numbers, times, directory
sizes), so the one of an NFS mount must equal the one of a local directory. Modes, owners and errno names count.
"""

import os
import shutil
import stat

from exercise import attempt, read, run, say, write

LONG_NAME = "n" * 255


def look(path):
    s = os.lstat(path)
    size = s.st_size if stat.S_ISREG(s.st_mode) or stat.S_ISLNK(s.st_mode) else "-"
    special = stat.S_ISCHR(s.st_mode) or stat.S_ISBLK(s.st_mode)
    device = (os.major(s.st_rdev), os.minor(s.st_rdev)) if special else ""
    return f"{stat.filemode(s.st_mode)} nlink={s.st_nlink} {s.st_uid}:{s.st_gid} size={size} {device}"


def hard_links():
    write("a")
    os.link("a", "b")
    os.mkdir("d")
    os.link("b", "d/c")
    say(look("a"), os.path.samefile("a", "d/c"))
    with open("d/c", "ab") as f:
        f.write(b" more")
    say(read("a"))
    os.unlink("a")
    say(look("b"))
    attempt("link over existing", os.link, "b", "d/c")
    attempt("link of a directory", os.link, "d", "e")
    attempt("link of nothing", os.link, "nothing", "f")
    os.symlink("b", "s")
    os.link("s", "s2", follow_symlinks=False)
    say(look("s2"), os.readlink("s2"))


def symlinks():
    for target in ("absent", "../up", "/absolute/path", "x" * 1000, "ünïcode"):
        os.symlink(target, "s")
        say(look("s"), os.readlink("s") == target, os.path.exists("s"))
        os.unlink("s")
    os.mkdir("d")
    write("d/f", b"through")
    os.symlink("d", "l")
    say(read("l/f"), sorted(os.listdir("l")))
    os.symlink("loop2", "loop1")
    os.symlink("loop1", "loop2")
    attempt("open a loop", os.open, "loop1", os.O_RDONLY)
    attempt("readlink of a file", os.readlink, "d/f")
    attempt("symlink over existing", os.symlink, "x", "l")


def renames():
    write("old", b"new contents")
    write("target", b"old contents")
    os.mkdir("d1")
    os.mkdir("d2")
    with open("target", "rb") as held:
        os.rename("old", "target")
        say(read("target"), os.path.exists("old"))
        attempt("read the replaced file", held.read)
    os.rename("target", "d1/moved")
    say(sorted(os.listdir(".")), read("d1/moved"))
    os.mkdir("d1/sub")
    write("d1/sub/f")
    os.rename("d1/sub", "d2/sub2")
    say(sorted(os.listdir("d1")), sorted(os.listdir("d2")), look("d1"), look("d2"), os.listdir("d2/sub2"))
    attempt("a directory over an empty one", os.rename, "d2/sub2", "d1/moved2")
    os.mkdir("empty")
    attempt("over an empty directory", os.rename, "d1/moved2", "empty")
    os.mkdir("full")
    write("full/f")
    os.mkdir("other")
    attempt("over a full directory", os.rename, "other", "full")
    attempt("a file over a directory", os.rename, "d1/moved", "other")
    attempt("a directory over a file", os.rename, "other", "d1/moved")
    attempt("into itself", os.rename, "other", "other/inside")
    attempt("nothing", os.rename, "nothing", "x")
    os.link("d1/moved", "same")
    os.rename("same", "d1/moved")  # two names of one file: POSIX says that nothing happens
    say(os.path.exists("same"), look("d1/moved"))
    os.rename("d1/moved", "d1/" + LONG_NAME)
    say(os.listdir("d1") == [LONG_NAME])


def modes_and_owners():
    write("f")
    for mode in (0, 0o644, 0o4755, 0o2755, 0o1777, 0o7777):
        os.chmod("f", mode)
        say(look("f"))
    os.chown("f", 1234, 5678)
    say(look("f"))
    os.chown("f", -1, 1)
    say(look("f"))
    os.symlink("f", "s")
    os.lchown("s", 42, 43)
    say(look("s"), look("f"))
    os.utime("f", ns=(1_000_000_000_123456000, 2_000_000_000_654321000))
    s = os.stat("f")
    say(s.st_atime_ns, s.st_mtime_ns)
    old = os.umask(0o027)
    write("masked")
    os.mkdir("masked-directory")
    os.umask(old)
    say(look("masked"), look("masked-directory"))


def special_files():
    os.mkfifo("fifo", 0o600)
    os.mknod("char", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod("block", stat.S_IFBLK | 0o660, os.makedev(7, 1))
    os.mknod("socket", stat.S_IFSOCK | 0o755)
    os.mknod("regular", stat.S_IFREG | 0o640)
    for name in ("fifo", "char", "block", "socket", "regular"):
        say(name, look(name))
    with open("char", "wb") as null:
        say("written to /dev/null's twin:", null.write(b"gone"))
    attempt("mknod over existing", os.mknod, "fifo", stat.S_IFREG | 0o600)
    say(sorted((e.name, e.is_file(), e.is_dir()) for e in os.scandir(".")))


def truncation_and_holes():
    write("f", b"x" * 20000)
    os.truncate("f", 5)
    say(look("f"), read("f"))
    os.truncate("f", 30000)
    say(look("f"), read("f") == b"xxxxx" + bytes(29995))
    with open("sparse", "wb") as f:
        f.seek(100 << 20)
        f.write(b"end")
    s = os.stat("sparse")
    say(s.st_size, s.st_blocks * 512 < 1 << 20)
    with open("sparse", "rb") as f:
        say(f.read(10), f.seek((100 << 20) - 5), f.read())
    with open("f", "r+b") as f:
        f.seek(8190)
        f.write(b"across a block")
    say(read("f")[8188:8206])
    with open("f", "ab") as f:
        f.write(b"appended")
    say(look("f"), read("f")[-10:])
    with open("f", "wb"):
        pass
    say(look("f"))
    write("big", bytes(range(256)) * 4096)
    say(read("big") == bytes(range(256)) * 4096)


def directories():
    os.mkdir("d")
    os.makedirs("d/1/2/3")
    say(look("d"), look("d/1"))
    attempt("rmdir of a full one", os.rmdir, "d")
    attempt("unlink of a directory", os.unlink, "d/1")
    attempt("rmdir of a file", lambda: (write("f"), os.rmdir("f")))
    attempt("mkdir over existing", os.mkdir, "d")
    attempt("mkdir below nothing", os.mkdir, "nothing/d")
    attempt("a name too long", write, LONG_NAME + "n")
    write(LONG_NAME)
    os.unlink(LONG_NAME)
    for i in range(400):
        write(f"d/file-{i:03}", b"")
    say(len(os.listdir("d")), sorted(os.listdir("d"))[::37])
    with os.scandir("d") as entries:  # removing while reading is what rm -r does
        for entry in entries:
            if entry.name.endswith("7"):
                os.unlink(entry.path)
    say(len(os.listdir("d")))
    shutil.rmtree("d")
    say(sorted(os.listdir(".")), look("."))


def open_files():
    with open("f", "w+b") as f:
        f.write(b"still here")
        f.flush()
        os.unlink("f")
        f.seek(0)
        say(f.read(), os.path.exists("f"))
    descriptor = os.open("x", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    os.close(descriptor)
    attempt("O_EXCL again", os.open, "x", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    attempt("O_DIRECTORY of a file", os.open, "x", os.O_DIRECTORY)
    attempt("open for writing a directory", os.open, ".", os.O_WRONLY)
    with open("x", "wb") as f:
        f.write(b"synced")
        os.fsync(f.fileno())
    say(read("x"))


def permissions():
    os.chmod(".", 0o755)
    write("secret")
    os.chmod("secret", 0o600)
    write("shared")
    os.chmod("shared", 0o664)
    os.chown("shared", 0, 2000)
    os.mkdir("sticky")
    os.chmod("sticky", 0o1777)
    write("sticky/roots")
    os.mkdir("closed", 0o700)
    os.mkdir("theirs")
    os.chown("theirs", 1000, 1000)
    child = os.fork()
    if child == 0:
        os.setgroups([2000])
        os.setgid(1000)
        os.setuid(1000)
        attempt("read a secret", read, "secret")
        attempt("write to it", write, "secret")
        attempt("write by a group", write, "shared", b"by the group")
        attempt("create where not allowed", write, "mine")
        attempt("unlink where not allowed", os.unlink, "shared")
        attempt("unlink another's in a sticky directory", os.unlink, "sticky/roots")
        attempt("rename another's in a sticky directory", os.rename, "sticky/roots", "sticky/mine")
        attempt("look into a closed directory", os.listdir, "closed")
        attempt("chmod another's", os.chmod, "shared", 0o777)
        attempt("chown to another", lambda: (write("theirs/f"), os.chown("theirs/f", 0, 0)))
        attempt("chgrp to an own group", os.chown, "theirs/f", -1, 2000)
        os.chmod("theirs/f", 0o400)
        attempt("unlink an own read-only file", os.unlink, "theirs/f")
        attempt("access", lambda: [os.access("secret", m) for m in (os.F_OK, os.R_OK, os.W_OK)])
        os._exit(0)
    say("child", os.waitpid(child, 0)[1])
    say(look("shared"), read("shared"), sorted(os.listdir("theirs")))


run(
    hard_links, symlinks, renames, modes_and_owners, special_files, truncation_and_holes, directories,
    open_files, permissions,
)  # fmt: skip
