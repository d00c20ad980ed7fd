# Packing up and clearing away.
# shellcheck shell=bash

package_command() {
  (($# == 0)) || die "package takes no arguments"
  local version
  build_library "$(host_platform)" debug
  build_library "$(host_platform)" release
  version=$(sed -n 's/^version="\(.*\)"/\1/p' "$ADDON/plugin.cfg")
  local zip=$TARGET_DIR/package/godot-torrent-$version.zip
  mkdir -p "$(dirname "$zip")"
  pack_addon "$zip"
  say "packed $zip"
}

# pack_addon FILE: a zip of the addon with every library that is built, and with
# what is to be read.
pack_addon() {
  local stage=$TARGET_DIR/package-stage python
  python=$(find_python)
  rm -rf "$stage"
  mkdir -p "$stage"
  cp -R "$ADDON" "$stage/godot-torrent"
  cp "$ROOT/README.md" "$ROOT/CHANGELOG.md" "$stage/godot-torrent"
  cp -R "$ROOT/docs" "$stage/godot-torrent/docs"
  # Godot looks for resources in every folder that does not have this.
  touch "$stage/godot-torrent/docs/.gdignore"
  strip_libraries "$stage/godot-torrent/bin" || return
  "$python" "$ROOT/scripts/package.py" "$stage/godot-torrent" "$1" || return
  rm -rf "$stage"
}

# strip_libraries FOLDER: what only a debugger reads is most of a debug library. Each
# kind of library has a tool of its own; where that is missing, none of the kind
# was built here.
strip_libraries() {
  local library
  for library in "$1"/*.debug.*; do
    case $library in
      *.linux.*."$(host_arch)".so) strip --strip-debug "$library" || return ;;
      *.dll) ! have_mingw_strip || "$MINGW-strip" --strip-debug "$library" || return ;;
      *.dylib) [[ $(host_platform) != macos ]] || strip -S "$library" || return ;;
    esac
  done
}

have_mingw_strip() {
  have "$MINGW-strip" || PATH=$CACHE/tools/mingw-root/links:$PATH
  have "$MINGW-strip"
}

clean_command() {
  say "removing what was built (downloads stay in $CACHE)"
  # Not the whole folder: CARGO_TARGET_DIR can be shared with other projects.
  have cargo && run_logged clean cargo clean
  rm -rf "$LOGS" "$RESULTS" "$TARGET_DIR"/{locks,small-runner,selftest-*,godot-home,empty-game,export-project,export-project-bare,exported-game,screenshots,package,package-stage}
  rm -rf "${ADDON:?}/bin" "$ROOT/addons/gut" "$PROJECT/.godot"
}
