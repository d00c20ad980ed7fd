"""Writes the licences of the crates that are linked into the library.

    licences.py FILE          writes FILE anew
    licences.py --check FILE  fails if FILE is not what would be written, or if a
                              crate has a licence that is not accepted here

A game has to show these texts, so they go into the package as one file. What
only runs while the library is compiled (procedural macros, build scripts) is not
in it.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = "torrent-godot"
# Whatever is shipped: a crate that one of them links is listed.
PLATFORMS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-pc-windows-gnu",
    "x86_64-pc-windows-msvc",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "aarch64-linux-android",
)

# In the order of preference, for a crate that leaves the choice. Each allows a
# closed-source game to link the crate; MPL-2.0 asks that it says where the source
# of the crate is.
ACCEPTED = (
    "MIT",
    "Apache-2.0",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "MPL-2.0",
)

# How files of a licence are named, where a crate has files of several.
FILE_NAMES = {
    "MIT": ("mit",),
    "Apache-2.0": ("apache",),
    "BSD-3-Clause": ("bsd",),
    "ISC": ("isc",),
    "Zlib": ("zlib",),
    "Unicode-3.0": ("unicode",),
    "MPL-2.0": ("mpl",),
}
# No crate of the graph, and linked into every Rust library.
STANDARD_LIBRARY = "  std: MIT\n    https://github.com/rust-lang/rust"
TEXT_FILE = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


class LicenceError(Exception):
    """A crate whose licence is not accepted, or not understood."""


def chosen(expression: str) -> list[str]:
    """The licences of `ACCEPTED` under which a crate is used, from its SPDX expression."""
    tokens = re.findall(r"[()]|[^\s()/]+|/", expression)
    place = 0

    def peek() -> str | None:
        return tokens[place] if place < len(tokens) else None

    def take() -> str:
        nonlocal place
        if place == len(tokens):
            raise LicenceError(f"'{expression}' ends too early")
        place += 1
        return tokens[place - 1]

    def either() -> list[str] | None:
        choices = [both()]
        # Crates before SPDX separated choices by a slash.
        while peek() in ("OR", "/"):
            take()
            choices.append(both())
        possible = [choice for choice in choices if choice is not None]
        return min(
            possible, key=lambda names: [ACCEPTED.index(name) for name in names], default=None
        )

    def both() -> list[str] | None:
        parts = [single()]
        while peek() == "AND":
            take()
            parts.append(single())
        if any(part is None for part in parts):
            return None
        return sorted({name for part in parts for name in part}, key=ACCEPTED.index)

    def single() -> list[str] | None:
        token = take()
        if token == "(":
            names = either()
            if take() != ")":
                raise LicenceError(f"'{expression}' has no closing bracket")
            return names
        if peek() == "WITH":
            # An exception allows more, so the licence alone is enough to keep to.
            take()
            take()
        return [token] if token in ACCEPTED else None

    names = either()
    if place != len(tokens):
        raise LicenceError(f"'{expression}' is not an SPDX expression")
    if names is None:
        raise LicenceError(f"'{expression}' is not accepted (accepted: {', '.join(ACCEPTED)})")
    return names


def linked_crates() -> list[dict]:
    """The crates that are linked into the library on any platform."""
    crates = {}
    for platform in PLATFORMS:
        metadata = json.loads(
            subprocess.run(
                (
                    "cargo",
                    "metadata",
                    "--format-version=1",
                    "--locked",
                    "--filter-platform",
                    platform,
                ),
                cwd=ROOT,
                check=True,
                capture_output=True,
            ).stdout
        )
        packages = {package["id"]: package for package in metadata["packages"]}
        nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        members = set(metadata["workspace_members"])
        waiting = [key for key in members if packages[key]["name"] == LIBRARY]
        seen = set(waiting)
        while waiting:
            for dependency in nodes[waiting.pop()]["deps"]:
                key = dependency["pkg"]
                linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
                if key in seen or not linked or is_macro(packages[key]):
                    continue
                seen.add(key)
                waiting.append(key)
        for key in seen - members:
            package = packages[key]
            crates[package["name"], package["version"]] = package
    return [crates[key] for key in sorted(crates)]


def is_macro(package: dict) -> bool:
    return any("proc-macro" in target["kind"] for target in package["targets"])


def texts(package: dict, names: list[str]) -> list[str]:
    """The texts that come with a crate: those of the licences `names`, and notices."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and TEXT_FILE.match(path.name)
        and len(path.relative_to(folder).parts) <= 2
        and path.suffix.lower() in ("", ".md", ".txt", ".mit", ".apache2", ".html")
    )
    stated = package.get("license_file")
    if stated:
        files.append(folder / stated)
    wanted = [word for name in names for word in FILE_NAMES[name]]
    others = [word for words in FILE_NAMES.values() for word in words if word not in wanted]

    def of_another(path: Path) -> bool:
        name = path.name.lower()
        return "unlicense" in name or (
            any(word in name for word in others) and not any(word in name for word in wanted)
        )

    return [
        "\n".join(line.rstrip() for line in path.read_text(errors="replace").strip().splitlines())
        for path in dict.fromkeys(files)
        if not of_another(path)
    ]


def render() -> str:
    """The whole file."""
    errors, listed, by_text = [], [], {}
    for package in linked_crates():
        label = f"{package['name']} {package['version']}"
        try:
            if not package["license"]:
                raise LicenceError("no licence is named in its manifest")
            names = chosen(package["license"])
        except LicenceError as error:
            errors.append(f"{label}: {error}")
            continue
        source = package["repository"] or package["homepage"] or ""
        listed.append(f"  {label}: {', '.join(names)}\n    {source}".rstrip())
        found = texts(package, names)
        if not found and names != ["MPL-2.0"]:
            errors.append(f"{label}: no text of its licence comes with it")
        for text in found:
            by_text.setdefault(hashlib.sha256(text.encode()).digest(), (text, []))[1].append(label)
    if errors:
        raise LicenceError("\n".join(errors))

    parts = [
        "Godot-Torrent is under the MIT licence (the file LICENSE). The library that comes\n"
        "with it links these Rust crates, under the licences that are named with them.\n"
        "Those under MPL-2.0 are used unchanged: their source is at the address below the\n"
        "name, and the text of that licence at https://mozilla.org/MPL/2.0/.",
        "\n".join([*listed, STANDARD_LIBRARY]),
    ]
    for text, users in by_text.values():
        parts.append("-" * 78 + "\n" + wrapped(users) + "\n" + "-" * 78 + "\n\n" + text)
    return "\n\n".join(parts) + "\n"


def wrapped(words: list[str]) -> str:
    lines, line = [], ""
    for word in words:
        addition = f", {word}" if line else word
        if line and len(line) + len(addition) > 77:
            lines.append(line + ",")
            line = word
        else:
            line += addition
    return "\n".join([*lines, line])


def main() -> int:
    arguments = sys.argv[1:]
    check = arguments[:1] == ["--check"]
    target = Path(arguments[-1])
    try:
        text = render()
    except LicenceError as error:
        print(f"licences that are not accepted:\n{error}", file=sys.stderr)
        return 1
    if not check:
        target.write_text(text)
        return 0
    if not target.exists() or target.read_text() != text:
        print(
            f"{target} does not fit what is linked: run scripts/licences.py {target}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
