"""Packs the addon into a zip that unpacks as addons/godot-torrent/ in a game.

    package.py FOLDER ZIP

FOLDER is a copy of the addon with the documentation in it.
"""

import re
import sys
import zipfile
from pathlib import Path

# One date for every file: the same content gives the same zip.
EPOCH = (2020, 1, 1, 0, 0, 0)
# A game has to show what these say, so no package goes without.
NEEDED = ("LICENSE", "LICENSES-THIRD-PARTY.txt", "README.md", "CHANGELOG.md")


def main() -> int:
    addon, target = Path(sys.argv[1]), Path(sys.argv[2])
    missing = [name for name in NEEDED if not (addon / name).is_file()]
    if missing:
        print(f"the package would have no {', '.join(missing)}", file=sys.stderr)
        return 1
    readme = addon / "README.md"
    readme.write_text(without_source_links(readme.read_text(), addon))
    broken = broken_links(addon)
    if broken:
        print("\n".join(broken), file=sys.stderr)
        return 1

    files = sorted(path for path in addon.rglob("*") if path.is_file() and path.suffix != ".new")
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            info = zipfile.ZipInfo(
                f"addons/{addon.name}/{path.relative_to(addon).as_posix()}", EPOCH
            )
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, path.read_bytes())
    partial.replace(target)

    manifest = (addon / "godot-torrent.gdextension").read_text()
    for library in sorted(set(re.findall(r'"(bin/[^"]+)"', manifest))):
        path = addon / library
        if path.is_file():
            print(f"  {library}: {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
        else:
            print(f"  {library}: not built, left out", file=sys.stderr)
    return 0


def links(text: str) -> list[str]:
    """The files that a page leads to."""
    return [
        link.split("#")[0]
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if not re.match(r"[a-z]+:|#", link)
    ]


def without_source_links(readme: str, addon: Path) -> str:
    """Leaves out the entries of lists that lead to files of the source code alone."""
    return "\n".join(
        line
        for line in readme.split("\n")
        if not line.startswith("- [") or all((addon / link).exists() for link in links(line))
    )


def broken_links(addon: Path) -> list[str]:
    """A line for each link that leads to nothing in the package."""
    return [
        f"{page.relative_to(addon)}: nothing is at '{link}'"
        for page in sorted(addon.rglob("*.md"))
        for link in links(page.read_text())
        if not (page.parent / link).exists()
    ]


if __name__ == "__main__":
    sys.exit(main())
