# Shared by build.sh and every file in this folder: where things are, how a
# step is announced, how a command runs quietly, how a lock is taken.
# shellcheck shell=bash

# Exported, so that Cargo, Godot and pytest see the same folders as we do.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
export GODOT_TORRENT_CACHE=${GODOT_TORRENT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/godot-torrent}

# Paths may come from the environment relative; every step changes folders.
[[ $CARGO_TARGET_DIR == /* ]] || CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR
[[ $GODOT_TORRENT_CACHE == /* ]] || GODOT_TORRENT_CACHE=$PWD/$GODOT_TORRENT_CACHE

CACHE=$GODOT_TORRENT_CACHE
TARGET_DIR=$CARGO_TARGET_DIR
PROJECT=$ROOT/godot-project ADDON=$ROOT/addons/godot-torrent LOGS=$TARGET_DIR/logs

# One line a step. On standard error, so that a function's standard output
# stays its answer.
say() { printf '==> %s\n' "$*" >&2; }

warn() { printf 'warning: %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

need() { have "$1" || die "$1 is missing" "$2"; }

# run_logged NAME COMMAND...: the output goes to a file that is shown only when
# the command fails. V=1 shows it as it comes.
run_logged() {
  local name=$1 log status=0
  shift
  mkdir -p "$LOGS"
  log=$LOGS/$name.log
  if [[ ${V:-0} == 1 ]]; then
    "$@" 2>&1 | tee "$log" >&2 || status=$?
  else
    "$@" >"$log" 2>&1 </dev/null || status=$?
  fi
  if ((status != 0)); then
    [[ ${V:-0} == 1 ]] || tail -n "${LOG_LINES:-80}" "$log" >&2
    warn "$name failed with status $status; all of its output is in $log"
  fi
  return "$status"
}

# with_lock FILE COMMAND...: two runs of this script never write to one folder
# at once. Runs in a subshell, which gives the lock back however it ends.
with_lock() {
  local file=$1
  shift
  mkdir -p "$(dirname "$file")"
  (
    if have flock; then
      flock -n 9 || {
        say "waiting for another run of build.sh to finish"
        flock 9
      }
    fi
    # The lock must not live on in a child that outlasts this script.
    "$@" 9>&-
  ) 9>"$file"
}

# limited SECONDS COMMAND...: ends a command that hangs.
limited() {
  local seconds=$1
  shift
  if have timeout; then
    timeout --kill-after=10 "$seconds" "$@"
  else
    "$@"
  fi
}

# The platform of this machine, in the names that Godot's feature tags use.
host_platform() {
  case $(uname -s) in
    Linux) echo linux ;;
    Darwin) echo macos ;;
    MINGW* | MSYS* | CYGWIN*) echo windows ;;
    *) die "no build for the system '$(uname -s)'" "Linux, macOS and Windows are known." ;;
  esac
}

host_arch() {
  case $(uname -m) in
    x86_64 | amd64) echo x86_64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) die "no build for the processor '$(uname -m)'" "x86_64 and arm64 are known." ;;
  esac
}

# The checksums of files, or of standard input where none is named.
# shellcheck disable=SC2120
sha256() { if have sha256sum; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

# One checksum for a folder: over each file's path and content, in byte order.
# Unlike an archive's checksum it does not depend on who packed it.
tree_sha256() (
  cd "$1" || exit
  export -f have sha256
  # shellcheck disable=SC2016,SC2119 # expanded by the inner shell; no arguments on purpose
  find . -type f -print0 | LC_ALL=C sort -z | xargs -0 bash -c 'sha256 "$@"' _ | sha256 | cut -d' ' -f1
)
