"""Runs in the guest: what programs do with files that is hard for a file system which another machine keeps.

As with behaviour.py the transcript of an NFS mount must equal that of a local directory.
"""

import ctypes
import mmap
import os
import random
import shutil
import stat
import subprocess

from exercise import attempt, read, run, say, write

RACES = 8
FSX_STEPS = 400
PROGRAM = {
    "greeting.h": "const char *greeting(int n);\n",
    "greeting.c": '#include "greeting.h"\nconst char *greeting(int n) { return n ? "hello" : "bye"; }\n',
    "main.c": '#include <stdio.h>\n#include "greeting.h"\nint main(void) { puts(greeting(1)); return 7; }\n',
    "Makefile": "program: main.o greeting.o\n\tgcc -o $@ $^\n%.o: %.c greeting.h\n\tgcc -c -o $@ $<\n",
}

libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
libc.readdir.restype = ctypes.c_void_p
for function in (libc.readdir, libc.rewinddir, libc.closedir, libc.telldir):
    function.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
NAME_AT = 19  # offset of d_name in struct dirent


def next_name(directory):
    entry = libc.readdir(directory)
    return ctypes.string_at(entry + NAME_AT) if entry else None


def names(directory):
    return list(iter(lambda: next_name(directory), None))


def rewinding():
    for i in range(300):
        write(f"file-{i:03}", b"")
    directory = libc.opendir(b".")
    first = [next_name(directory) for _ in range(20)]
    libc.rewinddir(directory)
    everything = names(directory)
    say(len(everything), len(set(everything)), everything[:20] == first, b"." in everything, b".." in everything)
    libc.rewinddir(directory)
    places = []
    for _ in range(100):
        places.append((libc.telldir(directory), next_name(directory)))
    wrong = 0
    for place, name in reversed(places):
        libc.seekdir(directory, place)
        wrong += next_name(directory) != name
    say("seeks that went wrong:", wrong)
    libc.rewinddir(directory)
    os.unlink("file-000")
    write("new", b"")
    libc.rewinddir(directory)
    again = names(directory)
    say(b"file-000" in again, b"new" in again, len(again))
    libc.closedir(directory)


def deleting_while_reading():
    for i in range(500):
        write(f"file-{i:03}", b"")
    directory = libc.opendir(b".")
    seen = []
    while (name := next_name(directory)) is not None:
        if name not in (b".", b".."):
            seen.append(name)
            os.unlink(name)
    libc.closedir(directory)
    say(len(seen), len(set(seen)), os.listdir("."))


def exclusive_creation():
    won = []
    for race in range(RACES):
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                try:
                    os.close(os.open(f"lock-{race}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                except FileExistsError:
                    os._exit(1)
                os._exit(0)
            children.append(child)
        won.append([os.waitpid(child, 0)[1] for child in children].count(0))
    say("winners:", set(won))
    for _ in range(3):
        attempt("mkdir", os.mkdir, "d")
        attempt("mkdir again", os.mkdir, "d")
        os.rmdir("d")
        say(os.path.exists("d"))


def links_and_names_again_and_again():
    """What a duplicate of a call would spoil."""
    write("f")
    for _ in range(60):
        os.link("f", "g")
        os.rename("g", "h")
        os.unlink("h")
        os.symlink("f", "s")
        os.unlink("s")
    say(os.stat("f").st_nlink, sorted(os.listdir(".")))


def opened():
    with open("f", "w+b") as f:
        f.write(b"one")
        f.flush()
        os.rename("f", "g")
        f.write(b"two")
        f.flush()
        say(read("g"), os.path.exists("f"))
        os.mkdir("d")
        os.rename("g", "d/h")
        f.write(b"three")
        f.flush()
        os.rename("d", "e")
        say(read("e/h"))
        os.unlink("e/h")
        f.seek(0)
        say(f.read())
        os.fchmod(f.fileno(), 0o600)
        f.truncate(3)
        say(os.fstat(f.fileno()).st_size)
    os.rmdir("e")
    write("x", b"old")
    with open("x", "rb") as held:
        write("y", b"new")
        os.rename("y", "x")
        say(held.read(), read("x"))
    os.mkdir("w")
    os.chdir("w")
    os.rmdir("../w")
    attempt("create in a removed directory", write, "f")
    os.chdir("..")


def holes():
    with open("f", "wb") as f:
        for at in (0, 1 << 20, 5 << 20, 4096 * 3 + 17):
            f.seek(at)
            f.write(b"here")
        f.truncate(9 << 20)
    data = read("f")
    s = os.stat("f")
    say(len(data), data.count(b"here"), data.strip(b"\0")[:4], s.st_blocks * 512 < 1 << 20, data.count(0) + 16)


def random_access():
    """In the manner of fsx: everything that changes or shows a file's bytes, beside an array."""
    generator = random.Random(7)
    model = bytearray()
    wrong = 0
    with open("f", "w+b", buffering=0) as f:
        for _ in range(FSX_STEPS):
            at, length = generator.randrange(200_000), generator.randrange(1, 20_000)
            step = generator.choice(("write", "read", "truncate", "map", "append", "reopen"))
            if step == "write":
                data = generator.randbytes(length)
                os.pwrite(f.fileno(), data, at)
                model.extend(bytes(max(0, at + length - len(model))))
                model[at : at + length] = data
            elif step == "read":
                wrong += os.pread(f.fileno(), length, at) != model[at : at + length]
            elif step == "truncate":
                f.truncate(at)
                del model[at:]
                model.extend(bytes(at - len(model)))
            elif step == "append" and len(model) < 400_000:
                data = generator.randbytes(length)
                with open("f", "ab") as end:
                    end.write(data)
                model.extend(data)
            elif step == "map" and len(model) > at:
                with mmap.mmap(f.fileno(), len(model)) as mapped:
                    end = min(at + length, len(model))
                    wrong += mapped[at:end] != model[at:end]
                    mapped[at:end] = model[at:end] = generator.randbytes(end - at)
                    mapped.flush()
            else:
                wrong += read("f") != model
    say("differences:", wrong, "size:", len(model), read("f") == model)


def compiling():
    for name, text in PROGRAM.items():
        write(name, text.encode())
    environment = {"PATH": os.environ["PATH"], "TMPDIR": os.getcwd(), "LC_ALL": "C"}
    if not all(map(shutil.which, ("gcc", "make"))):
        say("no compiler")
        return
    for _ in range(2):
        done = subprocess.run(["make", "-s"], env=environment, capture_output=True, text=True, check=False)
        say(done.returncode, done.stdout, done.stderr)
        done = subprocess.run(["./program"], env=environment, capture_output=True, text=True, check=False)
        say(done.returncode, done.stdout)
        write("greeting.c", PROGRAM["greeting.c"].replace("hello", "hello again").encode())
        os.utime("greeting.c")
        os.utime("greeting.o", (0, 0))
    say(sorted(os.listdir(".")), stat.filemode(os.stat("program").st_mode))


run(
    rewinding, deleting_while_reading, exclusive_creation, links_and_names_again_and_again, opened, holes,
    random_access, compiling,
)  # fmt: skip
