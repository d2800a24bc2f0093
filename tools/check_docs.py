"""Checks the documentation: relative links and anchors lead somewhere, the README is short, pages keep to plain words.

    check_docs.py [FILE...]      (default: all Markdown files that git knows)
"""

import pathlib
import re
import subprocess
import sys
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[1]
README_LINES, README_WORDS = 250, 1500
# Words of our own dialect, and what to write instead.
DIALECT = {
    r"whoever|somebody|nobody|anybody": "name the actor: the client, the worker, the scheduler",
    r"called off|call off|calls off": "cancelled",
    r"takes? back|took back|gives? back|given back|gave back": "rolled back, or returned",
    r"looks? after": "name what is done",
}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(text):
    """The text without code blocks and code spans: what is in them are no links and no prose."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchor(heading):
    """The anchor that GitHub makes of a heading."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    kept = (c for c in heading if c in " -_" or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


def anchors(path):
    """All anchors of a page."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    found, counts = set(), {}
    for heading in re.findall(r"^#+ (.+)$", text, flags=re.M):
        name = anchor(heading.replace("`", ""))
        seen = counts.get(name, 0)
        counts[name] = seen + 1
        found.add(f"{name}-{seen}" if seen else name)
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def broken_links(path):
    """What is wrong with a page's links."""
    for target in LINK.findall(prose(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, fragment = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        if not page.exists():
            yield f"{target}: no such file"
        elif fragment and page.suffix == ".md" and fragment not in anchors(page):
            yield f"{target}: no such heading"


def dialect(text):
    """Words of the dialect in a page."""
    for pattern, instead in DIALECT.items():
        for word in re.findall(rf"\b(?:{pattern})\b", re.sub(r"\]\([^)]*\)", "]", prose(text)), flags=re.I):
            yield f"'{word}': {instead}"


def faults(path):
    """All that is wrong with a page."""
    name, text = path.relative_to(ROOT).as_posix(), path.read_text()
    yield from broken_links(path)
    yield from dialect(text)
    if name == "README.md":
        lines, words = text.count("\n"), len(text.split())
        if lines > README_LINES or words > README_WORDS:
            yield f"{lines} lines and {words} words; at most {README_LINES} and {README_WORDS}"


def main(names):
    if not names:
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pages = [path for path in (ROOT / name for name in names) if path.exists()]
    bad = 0
    for path in pages:
        found = list(faults(path))
        bad += bool(found)
        for fault in found:
            print(f"{path.relative_to(ROOT)}: {fault}")
    print(f"{len(pages) - bad} passed, {bad} failed")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
