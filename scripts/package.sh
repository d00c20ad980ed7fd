# Packing up and clearing away.
# shellcheck shell=bash

package_command() {
  (($# == 0)) || die "package takes no arguments"
  local python version
  python=$(find_python)
  build_library "$(host_platform)" debug
  build_library "$(host_platform)" release
  version=$(sed -n 's/^version="\(.*\)"/\1/p' "$ADDON/plugin.cfg")
  local zip=$TARGET_DIR/package/godot-torrent-$version.zip
  mkdir -p "$(dirname "$zip")"
  "$python" "$ROOT/scripts/package.py" "$ADDON" "$zip"
  say "packed $zip"
}

clean_command() {
  say "removing what was built (downloads stay in $CACHE)"
  # Not the whole folder: CARGO_TARGET_DIR can be shared with other projects.
  have cargo && run_logged clean cargo clean
  rm -rf "$LOGS" "$RESULTS" "$TARGET_DIR"/{locks,small-runner,selftest-*,godot-home,empty-game,export-project,exported-game,screenshots,package}
  rm -rf "${ADDON:?}/bin" "$ROOT/addons/gut" "$PROJECT/.godot"
}
