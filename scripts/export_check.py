"""Exports a game for each of its presets and says whether the library is in it.

    export_check.py GODOT GAME

GAME is the folder of the game's project. Prints a line for each export preset, and
ends with status 1 if the library is missing in one of them, or one cannot be
exported. What is exported goes into a folder that is deleted again.
"""

import configparser
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

ENTRY_SYMBOL = "gdext_rust_init"
# What an export of the platform is named: Godot goes by the ending.
OUTPUTS = {
    "linux": "game.x86_64",
    "windows": "game.exe",
    "macos": "game.zip",
    "android": "game.apk",
    "web": "game.html",
}
# Godot's names of platforms, as presets have them.
PLATFORMS = {
    "Linux": "linux",
    "Linux/X11": "linux",
    "Windows Desktop": "windows",
    "macOS": "macos",
    "Android": "android",
    "Web": "web",
}
SECONDS = 900


class Preset(NamedTuple):
    """An export preset of the game."""

    name: str
    platform: str
    architecture: str


def unquoted(value: str) -> str:
    return value.strip().strip('"')


def presets(game: Path) -> list[Preset]:
    """What `export_presets.cfg` lists."""
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=(";",))
    parser.read_string((game / "export_presets.cfg").read_text())
    found = []
    for section in parser.sections():
        if not re.fullmatch(r"preset\.\d+", section):
            continue
        options = f"{section}.options"
        found.append(
            Preset(
                unquoted(parser[section]["name"]),
                unquoted(parser[section]["platform"]),
                unquoted(parser.get(options, "binary_format/architecture", fallback="")),
            )
        )
    return found


def manifest(game: Path) -> Path | None:
    """The library's `.gdextension` file in the game."""
    for path in sorted(game.glob("addons/*/*.gdextension")):
        if ENTRY_SYMBOL in path.read_text() and "libtorrent_godot" in path.read_text():
            return path
    return None


def libraries(text: str, preset: Preset) -> list[str]:
    """The release libraries that the manifest names for a preset's platform."""
    feature = PLATFORMS.get(preset.platform, preset.platform.lower())
    named = re.findall(rf'^{feature}\.release\.(\w+)\s*=\s*"(.+)"$', text, re.MULTILINE)
    return sorted(
        {
            path
            for architecture, path in named
            if preset.architecture in ("", "universal", architecture)
        }
    )


def exported_names(folder: Path) -> set[str]:
    """The names of all files of an export, those in archives too."""
    names = set()
    for path in folder.rglob("*"):
        names.add(path.name)
        if path.is_file() and zipfile.is_zipfile(path) and path.suffix in (".zip", ".apk"):
            with zipfile.ZipFile(path) as archive:
                names.update(Path(name).name for name in archive.namelist())
    return names


def check(godot: str, game: Path, preset: Preset, addon: Path) -> str | None:
    """Exports one preset. What is wrong, or None."""
    wanted = libraries(addon.read_text(), preset)
    if not wanted:
        return f"there is no library for {preset.platform} {preset.architecture}".rstrip()
    absent = [path for path in wanted if not (addon.parent / path).is_file()]
    if absent:
        return f"{addon.parent / absent[0]} is missing: build it with ./build.sh build"
    feature = PLATFORMS.get(preset.platform, "")
    with tempfile.TemporaryDirectory(prefix="export-check-") as folder:
        output = Path(folder) / OUTPUTS.get(feature, "game")
        command = (godot, "--headless", "--path", game, "--export-release", preset.name, output)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return f"the export did not end within {SECONDS} seconds"
        if done.returncode != 0 or not output.exists():
            lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
            return "it cannot be exported: " + (lines[0] if lines else "Godot does not say why")
        names = exported_names(Path(folder))
    left_out = [path for path in wanted if Path(path).name not in names]
    return f"the export has no {Path(left_out[0]).name}" if left_out else None


def main() -> int:
    godot, game = sys.argv[1], Path(sys.argv[2])
    if not (game / "project.godot").is_file():
        print(f"{game} is no Godot project: it has no project.godot", file=sys.stderr)
        return 1
    addon = manifest(game)
    if addon is None:
        print(f"{game} has no addons/godot-torrent", file=sys.stderr)
        return 1
    if not (game / "export_presets.cfg").is_file():
        print(f"{game} has no export presets (Project > Export)", file=sys.stderr)
        return 1
    listed = presets(game)
    if not listed:
        print(f"{game} has no export presets (Project > Export)", file=sys.stderr)
        return 1
    failed = False
    for preset in listed:
        wrong = check(godot, game, preset, addon)
        failed |= wrong is not None
        print(f"{preset.name}: {wrong or 'OK, the library is in it'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
