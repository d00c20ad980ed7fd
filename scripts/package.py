"""Packs the addon into a zip that unpacks as addons/godot-torrent/ in a game."""

import re
import sys
import zipfile
from pathlib import Path

# One date for every file: the same content gives the same zip.
EPOCH = (2020, 1, 1, 0, 0, 0)


def main() -> None:
    addon, target = Path(sys.argv[1]), Path(sys.argv[2])
    files = sorted(path for path in addon.rglob("*") if path.is_file() and path.suffix != ".new")
    packed = {path.relative_to(addon).as_posix() for path in files}

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
    listed = sorted(set(re.findall(r'"(bin/[^"]+)"', manifest)))
    for library in listed:
        mark = "packed" if library in packed else "not built, left out"
        print(f"  {library}: {mark}", file=sys.stderr)


if __name__ == "__main__":
    main()
