"""The HTML report in a real browser: light and dark, a thousand calls and a hundred thousand."""

import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections import Counter

import pytest
from captures import call, down, many_getattrs, pcap, reply, ticking, up

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,1400",
    "--virtual-time-budget=10000",
)  # fmt: skip
SCREENSHOTS = os.environ.get("NFSRPC_SCREENSHOTS")
"""A directory that gets the pictures, for people who want to look."""
CARD, INK, OK, BAD = range(4)
COLOURS = {
    "light": {CARD: (255, 255, 255), INK: (27, 36, 48), OK: (43, 125, 224), BAD: (200, 50, 30)},
    "dark": {CARD: (26, 32, 40), INK: (230, 235, 242), OK: (106, 169, 255), BAD: (255, 122, 102)},
}


def write_report(capture, out):
    command = [sys.executable, "-m", "nfsrpc", "dump", capture, "--html", out]
    subprocess.run(command, check=True, timeout=200, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module", params=[1_000, 100_000])
def report(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "busy.pcap"
    with path.open("wb") as file:
        file.writelines(pcap(many_getattrs(request.param)))
    out = path.with_suffix(".html")
    write_report(path, out)
    return request.param, out


def chromium(tmp_path, report, *options):
    if CHROMIUM is None:
        pytest.skip("not on this machine: chromium")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *options, report.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pixels(png):
    """Width and rows of RGB of a PNG file without interlacing (the PNG specification, clause 9)."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack_from(">IIBB", body)
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    step = {2: 3, 6: 4}[colour]
    raw, stride = zlib.decompress(data), width * step
    previous = bytearray(stride)
    for row in range(height):
        start = row * (stride + 1)
        line = bytearray(raw[start + 1 : start + 1 + stride])
        unfilter(raw[start], line, previous, step)
        yield [tuple(line[x : x + 3]) for x in range(0, stride, step)]
        previous = line


def unfilter(kind, line, previous, step):
    for x in range(len(line) if kind else 0):
        left = line[x - step] if x >= step else 0
        above, corner = previous[x], previous[x - step] if x >= step else 0
        guess = left + above - corner
        nearest = min((abs(guess - left), 0, left), (abs(guess - above), 1, above), (abs(guess - corner), 2, corner))[2]
        line[x] = line[x] + (0, left, above, (left + above) // 2, nearest)[kind] & 0xFF


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_drawn_in_the_colours_of_the_theme(tmp_path, report, theme):
    calls, page = report
    picture = tmp_path / "report.png"
    dark = ["--blink-settings=preferredColorScheme=0"] if theme == "dark" else []
    chromium(tmp_path, page, f"--screenshot={picture}", *dark)
    if SCREENSHOTS:
        shutil.copy(picture, os.path.join(SCREENSHOTS, f"report-{calls}-{theme}.png"))
    seen = Counter(pixel for row in pixels(picture.read_bytes()) for pixel in row)
    wanted = COLOURS[theme]
    assert seen[wanted[CARD]] > 500_000  # most of a page of 1280 x 1400 is empty card
    assert seen[wanted[INK]] > 300  # text
    assert seen[wanted[OK]] > 200  # heads of arrows, and points that stand alone
    assert seen[wanted[BAD]] > 10  # the errors are not buried under them
    other = COLOURS["light" if theme == "dark" else "dark"]
    assert seen[other[CARD]] < 10_000


def test_all_calls_are_in_it(tmp_path, report):
    calls, page = report
    dom = chromium(tmp_path, page, "--dump-dom")
    assert f'data-ready="{calls}"' in dom
    assert f"{calls:,} of {calls:,} calls" in dom
    height = re.search(r'id="spacer" style="height: (\d+(?:\.\d+)?(?:e\+\d+)?)px', dom)
    assert float(height[1]) == 2 * calls * 22
    assert "nfs GETATTR v2" in dom


def test_it_needs_nothing_from_elsewhere(report):
    text = report[1].read_text()
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import|https?://""", text)
    assert "default-src 'none'" in text


def test_a_hundred_thousand_calls_stay_small(report):
    calls, page = report
    assert page.stat().st_size < 60_000 + 50 * calls


def test_names_from_the_wire_cannot_leave_the_data(tmp_path):
    name = b"</script><script>document.title='taken'</script>"
    arguments = b"R" * 32 + struct.pack(">I", len(name)) + name + bytes(-len(name) % 4)
    path, out = tmp_path / "evil.pcap", tmp_path / "evil.html"
    frames = [up(call(1, 100003, 2, 4, arguments)), down(reply(1, struct.pack(">I", 2)))]
    path.write_bytes(b"".join(pcap(ticking(frames))))
    write_report(path, out)
    assert b"taken" not in out.read_bytes()
    assert "<title>RPC in evil.pcap</title>" in chromium(tmp_path, out, "--dump-dom")
