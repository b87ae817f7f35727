"""Links lead somewhere, and nothing that is published knows the machine that it was made on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("examples/*.md")])

LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
CODE = re.compile(r"^(```|~~~).*?^\1\s*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)

# Folders that exist on machines and not in the project, in pieces so that this file passes its own test. The mark
# before them tells a path from the middle of a web address or of a relative path.
MACHINE = re.compile(
    rb"(?<![\w.~})-])/(?:"
    + b"|".join([b"wo" + b"rk", b"ro" + b"ot", b"ho" + b"me", b"Us" + b"ers", b"tm" + b"p/w"])
    + rb")/\w"
)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings as GitHub makes them."""
    text = re.sub(r"^```.*?^```\s*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    words = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in HEADING.findall(text)]
    return {re.sub(r"[^\w\- ]", "", word).replace(" ", "-") for word in words}


def broken_links(page: Path, root: Path) -> list[str]:
    """Links of a page to files or headings that are not there."""
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page.resolve()
        inside = target.exists() and root.resolve() in (target, *target.parents)
        if not inside or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_internal_links_lead_somewhere(page):
    assert broken_links(page, ROOT) == []


def test_a_broken_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` (c)\n[1](other.md) [2](#a-b-c) [3](#nothing) ![4](p.png) [5](https://x.y/z) [6](page.md#a-b-c) "
        "`[7](x)`\n"
        "```\n[8](y)\n# no heading\n```\n[9](#no-heading) [10](../..)\n"
    )
    assert broken_links(page, tmp_path) == ["other.md", "#nothing", "p.png", "#no-heading", "../.."]


def test_the_index_names_every_page():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    linked = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in LINK.findall(index)}
    missing = [page.relative_to(ROOT).as_posix() for page in ROOT.glob("docs/**/*.md") if page.resolve() not in linked]
    # Decisions are listed by their folder: one more must not touch the index.
    assert [page for page in missing if not page.startswith("docs/decisions/") and page != "docs/index.md"] == []


def published_files() -> list[Path]:
    """What git would publish: tracked files, and new ones that it does not ignore."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: nobody knows which files are published")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_published_file_names_a_path_of_a_machine():
    found = {}
    for path in published_files():
        hit = MACHINE.search(path.read_bytes())  # as bytes: a path may hide in a model or a picture
        if hit:
            found[path.relative_to(ROOT).as_posix()] = hit.group()
    assert found == {}


@pytest.mark.parametrize("text", [b'open("/wor' + b'k/main/x")', b" /ho" + b"me/jo/a", b"\x00/Use" + b"rs/jo"])
def test_a_path_of_a_machine_is_noticed(text):
    assert MACHINE.search(text)


@pytest.mark.parametrize(
    "text", [b"https://example.com/wor" + b"k/x", b"docs/ho" + b"me/x", b"frame/wor" + b"k/a", b"/wor" + b"ks/a"]
)
def test_other_texts_are_let_through(text):
    assert not MACHINE.search(text)
