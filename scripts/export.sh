# Exports the demos as a game and runs that.
# shellcheck shell=bash

EXPORT_PROJECT=$TARGET_DIR/export-project EXPORTED=$TARGET_DIR/exported-game

# A project of links to the demos and the addon alone, so that the game holds what
# a game would and not the tests.
make_export_project() {
  local template=
  mkdir -p "$EXPORT_PROJECT/addons"
  cp "$PROJECT/project.godot" "$EXPORT_PROJECT/project.godot"
  link "$ROOT/demo" "$EXPORT_PROJECT/demo"
  link "$ADDON" "$EXPORT_PROJECT/addons/godot-torrent"
  # Otherwise Godot takes the template that the editor has installed.
  ! is_cached_godot || template=$CACHE/tools/godot-root/usr/bin/godot-template-release
  sed -e "s|^custom_template/release=.*|custom_template/release=\"$template\"|" \
    -e "s|^binary_format/architecture=.*|binary_format/architecture=\"$(host_arch)\"|" \
    "$PROJECT/export_presets.cfg" >"$EXPORT_PROJECT/export_presets.cfg"
  import_project "$EXPORT_PROJECT"
}

# Sets EXPORTED_GAME, the command that starts the game.
export_game() {
  rm -rf "$EXPORTED"
  mkdir -p "$EXPORTED"
  run_logged export-game limited 900 "$GODOT" --headless --path "$EXPORT_PROJECT" \
    --export-release Linux "$EXPORTED/game.x86_64" ||
    die "the demos cannot be exported" "Export templates for this Godot have to be installed (Editor > Manage Export Templates)."
  EXPORTED_GAME=("$EXPORTED/game.x86_64")
  ! is_cached_godot || start_through_loader
}

# The cached template needs the libraries beside it too. A game takes its data and
# its libraries from where the running program is, and that is the loader: so the
# loader stands in the game's place, under its name.
start_through_loader() {
  local lib
  lib=$CACHE/tools/godot-root/usr/lib/$(debian_triplet)
  mv "$EXPORTED/game.x86_64" "$EXPORTED/game.template"
  cp -L "$lib/$(debian_loader)" "$EXPORTED/game.x86_64"
  EXPORTED_GAME+=(--library-path "$lib:$lib/pulseaudio:$lib/blas:$lib/lapack" "$EXPORTED/game.template")
}

# exported_demo NAME EXPECTED...: one test; the demo ends well and prints all of EXPECTED.
exported_demo() {
  local name=$1 log=$LOGS/exported-$1.log home=$TARGET_DIR/godot-home/exported
  rm -rf "$home"
  mkdir -p "$home"
  # Not from a folder where the project's own files could be found.
  if (cd "$EXPORTED" && run_logged "exported-$name" limited 400 \
    env XDG_DATA_HOME="$home" XDG_CONFIG_HOME="$home/config" XDG_CACHE_HOME="$home/cache" \
    "${EXPORTED_GAME[@]}" --headless -- "--demo=$name") &&
    prints "$log" "${@:2}"; then
    ((EXPORT_PASSED += 1))
  else
    warn "the exported game's demo $name did not end well with '${*:2}'; see $log"
    ((EXPORT_FAILED += 1))
  fi
  rm -rf "$home"
}

# prints FILE TEXT...: whether the file contains all of the texts.
prints() {
  local file=$1 text
  for text in "${@:2}"; do
    grep -qF -- "$text" "$file" || return
  done
}

# exported_file NAME: one test; the export put it there.
exported_file() {
  if [[ -s $EXPORTED/$1 ]]; then
    ((EXPORT_PASSED += 1))
  else
    warn "the export has no $1"
    ((EXPORT_FAILED += 1))
  fi
}

# export_check_command GAME: says for each export preset of a game whether the
# library is in what it exports.
export_check_command() {
  (($# == 1)) || die "export-check takes the folder of a game's project"
  require_godot
  check_exports "$1"
}

check_exports() { "$(find_python)" "$ROOT/scripts/export_check.py" "$GODOT" "$1"; }

# checked_export LABEL PROJECT STATUS EXPECTED: one test of that.
checked_export() {
  local label=export-check-$1 status=0
  mkdir -p "$LOGS"
  check_exports "$2" >"$LOGS/$label.log" 2>&1 </dev/null || status=$?
  if ((status == $3)) && prints "$LOGS/$label.log" "$4"; then
    ((EXPORT_PASSED += 1))
  else
    warn "export-check ended with $status and without '$4'; see $LOGS/$label.log"
    ((EXPORT_FAILED += 1))
  fi
}

# Prints a folder: the export project without the library.
project_without_library() {
  local project=$TARGET_DIR/export-project-bare file
  rm -rf "$project"
  mkdir -p "$project/addons/godot-torrent"
  cp "$EXPORT_PROJECT"/*.{godot,cfg} "$project"
  for file in "$ADDON"/*; do
    [[ $file == */bin ]] || link "$file" "$project/addons/godot-torrent/${file##*/}"
  done
  echo "$project"
}
