# Runs things on what was built: demos and benchmarks.
# shellcheck shell=bash

# import_project FOLDER: makes Godot take note of new and changed files. A fresh
# checkout has no list of classes yet, and scripts do not parse without it.
import_project() {
  local project=$1 stamp=$1/.godot/build-sh-imported
  project_is_imported "$project" "$stamp" && return
  say "importing $(basename "$project")"
  mkdir -p "$project/.godot"
  # Known before the first import, so that scripts find the classes in it. And a
  # headless editor that discovers an extension by itself crashes when it ends
  # (godotengine/godot#123511, #111048).
  echo "res://addons/godot-torrent/godot-torrent.gdextension" >"$project/.godot/extension_list.cfg"
  run_logged "import-$(basename "$project")" limited 300 "$GODOT" --headless --path "$project" --import ||
    die "Godot could not import $project"
  touch "$stamp"
}

project_is_imported() {
  [[ -e $2 && -z $(find -L "$1" -path "$1/.godot" -prune -o -newer "$2" \
    ! -name '*.so*' ! -name '*.dylib*' ! -name '*.dll*' ! -path '*/bin' -print -quit) ]]
}

demo_command() {
  local name=loopback_transfer window=
  if [[ ${1:-} == --window ]]; then
    window=1
    shift
  fi
  if (($# > 0)) && [[ $1 != -- ]]; then
    name=${1%.tscn}
    shift
  fi
  [[ ${1:-} != -- ]] || shift
  [[ -e $ROOT/demo/$name.tscn ]] ||
    die "there is no demo '$name'" "There are: $(list_demos)"
  require_godot
  build_library "$(host_platform)" debug
  with_lock "$TARGET_DIR/locks/project.lock" import_project "$PROJECT"
  say "running demo/$name.tscn"
  local godot=("$GODOT" --headless)
  if [[ -n $window ]]; then
    require_window
    godot=("${GODOT_WINDOW[@]}")
  fi
  "${godot[@]}" --path "$PROJECT" "res://demo/$name.tscn" -- "$@"
}

list_demos() {
  local scene names=()
  for scene in "$ROOT"/demo/*.tscn; do
    [[ ! -e $scene ]] || names+=("$(basename "$scene" .tscn)")
  done
  echo "${names[*]:-none}"
}

bench_command() {
  if [[ ${1:-} == frames ]]; then
    bench_frames "${2:-}"
    return
  fi
  need_cargo
  require_venv
  say "building torrent-rpc and torrent-bench (release)"
  run_logged build-bench cargo build --release -p torrent-rpc -p torrent-bench ||
    die "the benchmark does not compile"
  export TORRENT_RPC=$TARGET_DIR/release/torrent-rpc TORRENT_BENCH=$TARGET_DIR/release/torrent-bench
  say "running rust/bench/bench.py"
  python "$ROOT/rust/bench/bench.py" "$@"
}

# What the library costs a game's main thread. Godot's editor, which runs it,
# loads what the addon calls its debug library: here that is the release one,
# unless the debug one is asked for, of which only the ends of downloads count.
bench_frames() {
  local game=$TARGET_DIR/bench-game profile=release library arguments=()
  case $1 in
    '') ;;
    --debug) profile=debug arguments=(-- ends) ;;
    *) die "bench frames does not know '$1'" "./build.sh --help lists what it knows." ;;
  esac
  require_godot
  build_library "$(host_platform)" "$profile"
  library=$(find "$ADDON/bin" -name "*.$profile.$(host_arch).*" -print -quit)
  [[ -n $library ]] || die "there is no $profile library for this machine"
  rm -rf "$game"
  mkdir -p "$game/addons/godot-torrent/bin"
  cp "$ADDON/godot-torrent.gdextension" "$ADDON/icon.svg" "$game/addons/godot-torrent"
  cp "$library" "$game/addons/godot-torrent/bin/$(basename "${library/.$profile./.debug.}")"
  cp "$ROOT"/rust/bench/frames/*.gd "$game"
  printf 'config_version=5\n\n[application]\n\nconfig/name="bench"\n' >"$game/project.godot"
  import_project "$game"
  say "measuring what a frame costs"
  # Where a backtrace is wanted, the debug library takes one at each call of an object.
  RUST_BACKTRACE=0 "$GODOT" --headless --path "$game" -s res://frame_cost.gd \
    ${arguments[@]+"${arguments[@]}"}
}
