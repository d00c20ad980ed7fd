#!/usr/bin/env bash
# Builds, shows, tests and packages godot-torrent. ./build.sh --help says how.
set -euo pipefail
# Errors inside $(...) count too (bash before 4.4 does not have it).
shopt -s inherit_errexit 2>/dev/null || true

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/common.sh
source "$ROOT/scripts/common.sh"
# shellcheck source=scripts/godot.sh
source "$ROOT/scripts/godot.sh"
# shellcheck source=scripts/display.sh
source "$ROOT/scripts/display.sh"
# shellcheck source=scripts/export.sh
source "$ROOT/scripts/export.sh"
# shellcheck source=scripts/gut.sh
source "$ROOT/scripts/gut.sh"
# shellcheck source=scripts/python.sh
source "$ROOT/scripts/python.sh"
# shellcheck source=scripts/library.sh
source "$ROOT/scripts/library.sh"
# shellcheck source=scripts/windows.sh
source "$ROOT/scripts/windows.sh"
# shellcheck source=scripts/wine.sh
source "$ROOT/scripts/wine.sh"
# shellcheck source=scripts/fuzz.sh
source "$ROOT/scripts/fuzz.sh"
# shellcheck source=scripts/run.sh
source "$ROOT/scripts/run.sh"
# shellcheck source=scripts/suites.sh
source "$ROOT/scripts/suites.sh"
# shellcheck source=scripts/package.sh
source "$ROOT/scripts/package.sh"

usage() {
  cat <<'HELP'
usage: ./build.sh <command>

  build [linux|windows|macos] [--debug|--release]
                  compile the library into addons/godot-torrent/bin/
                  (this system and both profiles where nothing is said)
  demo [--window] [name] [-- arguments]
                  run demo/<name>.tscn in Godot, without a window unless asked;
                  loopback_transfer where no name is given
  test [style|rust|fuzz|gut|scenes|export|oracle] [arguments]
                  run one suite, or all of them; arguments go to its runner
                  (cargo test, GUT, pytest); for fuzz, the seconds that each
                  target runs (default 8)
  test windows [rust|oracle|library]
                  run core, engine and shim as Windows programs under Wine, and
                  a part of the oracle tests with the shim; not one of "all"
  test deep [fuzz|random]
                  run the suites for which there is no time otherwise, or one
                  of them; each takes half an hour at most
  bench [arguments]
                  compare transfers with libtorrent; see --help of
                  rust/bench/bench.py for the arguments
  bench frames [--debug]
                  measure what the library costs a frame of a game, and how late
                  a game hears of the end of a download; that alone for the
                  debug library
  package         a zip in target/package/ that unpacks as
                  addons/godot-torrent/ into a game
  export-check GAME
                  export the game in that folder for each of its presets, and say
                  whether the library is in it
  clean           remove everything that was built; downloads stay in the cache

What is missing is found or installed on the way: Godot, the test runner and
the Python packages go into a cache folder that outlives a checkout.

environment:
  GODOT                 the Godot program to use
  GUT_PATH              a folder that contains GUT
  PYTHON                the Python to make the virtual environment with
  GODOT_TORRENT_CACHE   the cache folder (default ~/.cache/godot-torrent)
  CARGO_TARGET_DIR      where Cargo builds (default target/)
  V=1                   show the output of every step as it comes
HELP
}

main() {
  local command=${1:---help}
  shift || true
  cd "$ROOT"
  case $command in
    build) build_command "$@" ;;
    demo) demo_command "$@" ;;
    test) test_command "$@" ;;
    bench) bench_command "$@" ;;
    package) package_command "$@" ;;
    export-check) export_check_command "$@" ;;
    clean) clean_command "$@" ;;
    -h | --help | help) usage ;;
    *) die "unknown command '$command'" "./build.sh --help lists the commands." ;;
  esac
}

# One line, so that an edit of this file cannot change a run that is under way.
main "$@"; exit
