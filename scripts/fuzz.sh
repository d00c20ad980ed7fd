# The fuzz suite: each target of rust/fuzz for a bounded time, on the seeds that
# are kept beside it. Each target is one test. What a run learned stays in the
# target folder for the next one; what made a target fail, too.
# shellcheck shell=bash

CARGO_FUZZ_VERSION=0.13.1
FUZZ=$ROOT/rust/fuzz

# suite_fuzz [SECONDS]: how long each target runs.
suite_fuzz() {
  local seconds=${1:-30} target passed=0 failed=0
  [[ $seconds =~ ^[0-9]+$ ]] || die "'$seconds' is no number of seconds"
  need_cargo
  require_cargo_fuzz
  say "building the fuzz targets"
  run_logged fuzz-build fuzz 0 build || die "the fuzz targets could not be built"
  for target in $(fuzz_targets); do
    say "fuzzing $target for $seconds seconds"
    if fuzz_target "$target" "$seconds"; then
      ((passed += 1))
    else
      ((failed += 1))
    fi
  done
  report fuzz "$passed" "$failed"
}

fuzz_targets() {
  local file
  for file in "$FUZZ"/fuzz_targets/*.rs; do basename "$file" .rs; done
}

# Sets CARGO_FUZZ, which needs a nightly compiler for the sanitizers.
require_cargo_fuzz() {
  local folder=$CACHE/tools/cargo-fuzz-$CARGO_FUZZ_VERSION
  have rustup || die "rustup is missing" "The fuzz targets need a nightly compiler: https://rustup.rs"
  rustup run nightly rustc --version >/dev/null 2>&1 ||
    run_logged fuzz-nightly rustup toolchain install nightly --profile minimal ||
    die "there is no nightly compiler" "rustup toolchain install nightly"
  CARGO_FUZZ=$folder/bin/cargo-fuzz
  [[ -x $CARGO_FUZZ ]] || with_lock "$CACHE/locks/cargo-fuzz.lock" install_cargo_fuzz "$folder"
}

install_cargo_fuzz() {
  [[ ! -x $CARGO_FUZZ ]] || return 0
  say "installing cargo-fuzz $CARGO_FUZZ_VERSION into $1"
  run_logged fuzz-install env -u CARGO_TARGET_DIR \
    cargo install cargo-fuzz --version "$CARGO_FUZZ_VERSION" --locked --root "$1" ||
    die "cargo-fuzz could not be installed"
}

# fuzz SECONDS COMMAND ARGUMENTS...: cargo-fuzz in its folder, with the nightly
# compiler; ended after so many seconds, if those are more than 0.
fuzz() {
  local limit=$1 command=$2
  shift 2
  (
    cd "$FUZZ"
    # Its own folder: the sanitizers are in every object.
    CARGO_TARGET_DIR=$TARGET_DIR/fuzz RUSTUP_TOOLCHAIN=nightly \
      limited "$limit" "$CARGO_FUZZ" "$command" --fuzz-dir "$FUZZ" "$@"
  )
}

fuzz_target() {
  local target=$1 seconds=$2 corpus=$TARGET_DIR/fuzz/corpus/$1 artifacts=$TARGET_DIR/fuzz/artifacts/$1
  mkdir -p "$corpus" "$artifacts"
  # The limit is for one that hangs: the time of a run is libFuzzer's.
  if run_logged "fuzz-$target" fuzz $((seconds + 120)) run "$target" \
    "$corpus" "$FUZZ/seeds/$target" -- \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=65536 \
    -artifact_prefix="$artifacts/" -print_final_stats=1; then
    return 0
  fi
  warn "what made $target fail is in $artifacts; run it again with" \
    "cargo +nightly fuzz run $target <file>"
  return 1
}
