"""Words that the exercises in the guest share: each part works in a directory of its own and prints what came of it."""

import errno
import os
import shutil
import sys


def say(*words):
    print(*words, flush=True)


def attempt(what, action, *arguments, **options):
    """Prints the result of one system call: its value, or the name of its error."""
    try:
        value = action(*arguments, **options)
    except OSError as error:
        value = errno.errorcode[error.errno]
    say(what, "->", value)


def write(path, data=b"data"):
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def run(*parts):
    """Runs `parts` below the directory that the command line names."""
    for part in parts:
        directory = os.path.join(sys.argv[1], part.__name__)
        os.mkdir(directory, 0o755)
        os.chdir(directory)
        say("==", part.__name__)
        part()
        os.chdir("/")
        shutil.rmtree(directory)
        say("left:", os.path.exists(directory))
