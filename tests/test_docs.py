"""What the documentation shows is what happens: its examples are run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with what the tutorial tells its reader to make, on a free port."""
    (gen,) = (line for block in blocks("sh") for line in block.splitlines() if line.startswith("nfsrpc gen"))
    words = gen.replace("xdr_specs/", f"{ROOT}/xdr_specs/").split()[1:]
    subprocess.run([sys.executable, "-m", "nfsrpc", *words], cwd=tmp_path, check=True)
    server, client = blocks("python")
    (tmp_path / "server.py").write_text(server.replace("port=9999", "port=0"))
    (tmp_path / "client.py").write_text(client)
    return tmp_path


def test_tutorial(project: Path) -> None:
    server = subprocess.Popen([sys.executable, "server.py"], cwd=project, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = re.search(r"port (\d+)", server.stdout.readline())
        assert port is not None
        client = (project / "client.py").read_text().replace("9999", port[1])
        (project / "client.py").write_text(client)
        run = subprocess.run([sys.executable, "client.py"], cwd=project, check=True, capture_output=True, text=True)
    finally:
        server.terminate()
        server.communicate()
    assert run.stdout == "b'hello'\n"


def test_tutorial_is_as_short_as_it_says() -> None:
    server, client = blocks("python")
    assert len([line for line in server.splitlines() if line.strip()]) <= 15
    assert len([line for line in client.splitlines() if line.strip()]) <= 7


def test_tutorial_shows_the_specification_as_it_is() -> None:
    assert blocks("c") == [(ROOT / "xdr_specs" / "file_read_write.x").read_text()]


def test_readme_names_only_commands_that_exist() -> None:
    named = set(re.findall(r"`nfsrpc (\w+)", README))
    run = subprocess.run([sys.executable, "-m", "nfsrpc", "--help"], check=True, capture_output=True, text=True)
    known = set(re.findall(r"^  (\w+) ", run.stdout.partition("\nCommands:\n")[2], re.MULTILINE))
    assert named <= known
    assert known <= named


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_every_page_is_linked_and_every_link_leads_somewhere(page: str) -> None:
    assert f"docs/{page}" in README
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "docs" / page).read_text()):
        assert (ROOT / "docs" / target).exists(), target


def test_links_of_the_readme() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_sample_of_exports_is_as_it_says(tmp_path: Path) -> None:
    from nfsrpc.nfs.exports_file import parse_exports

    (sample,) = re.findall(r"^```exports\n(.*?)^```$", (ROOT / "docs" / "exports.md").read_text(), re.M | re.S)
    exports, _ = parse_exports(sample, resolve=lambda _: ["192.0.2.7"])
    assert [[rule.client.text for rule in spec.rules] for spec in exports] == [
        ["sun.lab.example", "192.0.2.0/24", "*"],
        ["@lab", "fd00::/8"],
        ["*.lab.example", "10.0.0.0/255.255.0.0"],
    ]
    assert exports[2].path == b"/srv/my vol"
    assert not exports[1].rules[0].options.access.secure
