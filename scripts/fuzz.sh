# The fuzz suite: each target of rust/fuzz under libFuzzer for a bounded time,
# on the seeds that are kept beside it. Each target is one test, and one more is
# that the fuzzer finds a fault that is there to be found.
#
# libFuzzer needs no nightly compiler as long as no sanitizer is wanted, and our
# crates have no unsafe code that one would watch. See scripts/coverage.sh.
# shellcheck shell=bash

FUZZ=$ROOT/rust/fuzz
FUZZ_SECONDS=8
# All targets of the deep suite together.
DEEP_FUZZ_SECONDS=1500

# suite_fuzz [SECONDS]: how long each target runs. The same inputs each time, as
# far as the machine is as fast.
suite_fuzz() {
  local seconds=${1:-$FUZZ_SECONDS}
  [[ $seconds =~ ^[0-9]+$ ]] || die "'$seconds' is no number of seconds"
  fuzz_all fuzz "$seconds" 1
}

# Other inputs each time, which go on from what earlier runs have learned.
suite_deep_fuzz() {
  fuzz_all deep_fuzz "$((DEEP_FUZZ_SECONDS * $(cores) / $(fuzz_targets | wc -w)))" 0
}

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1; }

fuzz_targets() { (cd "$FUZZ/seeds" && printf '%s\n' *); }

# fuzz_all SUITE SECONDS SEED
fuzz_all() {
  local suite=$1 seconds=$2 seed=$3 passed=0 failed=0 target job jobs=()
  need_cargo
  if [[ $(host_platform) == windows ]]; then
    say "no libFuzzer here: playing the seeds"
    run_logged fuzz-seeds cargo test -p torrent-fuzz || die "a seed fails"
    report "$suite" "$(fuzz_targets | wc -w)" 0
    return
  fi
  have c++ || have g++ || have clang++ || die "a C++ compiler is missing" "libFuzzer is compiled with it."
  say "building the fuzz targets"
  run_logged fuzz-build env RUSTC_WORKSPACE_WRAPPER="$ROOT/scripts/coverage.sh" \
    cargo build --workspace --features torrent-godot/docs,torrent-fuzz/libfuzzer --bin torrent-fuzz ||
    die "the fuzz targets could not be built"
  say "fuzzing each target for $seconds seconds"
  if find_canary; then ((passed += 1)); else ((failed += 1)); fi
  for target in $(fuzz_targets); do
    fuzz_target "$target" "$seconds" "$seed" &
    jobs+=("$!")
    if ((${#jobs[@]} >= $(cores))); then
      if wait "${jobs[0]}"; then ((passed += 1)); else ((failed += 1)); fi
      jobs=("${jobs[@]:1}")
    fi
  done
  for job in ${jobs[@]+"${jobs[@]}"}; do
    if wait "$job"; then ((passed += 1)); else ((failed += 1)); fi
  done
  report "$suite" "$passed" "$failed"
}

# fuzzer TARGET SECONDS ARGUMENTS...: the limit is for one that hangs.
fuzzer() {
  local target=$1 seconds=$2
  shift 2
  FUZZ_TARGET=$target limited $((seconds + 120)) "$TARGET_DIR/debug/torrent-fuzz" "$@"
}

find_canary() {
  local folder=$TARGET_DIR/fuzz/canary
  rm -rf "$folder" && mkdir -p "$folder"
  if LOG_LINES=0 run_logged fuzz-canary fuzzer canary 60 -seed=1 -max_len=64 -max_total_time=60 \
    -artifact_prefix="$folder/" 2>/dev/null; then
    warn "the fuzzer does not find what is there to be found; see $LOGS/fuzz-canary.log"
    return 1
  fi
  # It must be this, and not that the program does not run at all.
  grep -q "^bird" "$folder"/crash-*
}

# fuzz_target TARGET SECONDS SEED
fuzz_target() {
  local target=$1 seconds=$2 seed=$3 learned=$TARGET_DIR/fuzz/corpus/$1
  local found=$TARGET_DIR/fuzz/found/$target
  if ((seed != 0)); then
    learned=$TARGET_DIR/fuzz/fresh/$target
    rm -rf "$learned"
  fi
  mkdir -p "$learned" "$found"
  if run_logged "fuzz-$target" fuzzer "$target" "$seconds" -seed="$seed" \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=16384 \
    -artifact_prefix="$found/" -print_final_stats=1 "$learned" "$FUZZ/seeds/$target"; then
    return 0
  fi
  warn "what made $target fail is in $found; it belongs into rust/fuzz/seeds/$target when it is" \
    "mended. Again: FUZZ_TARGET=$target $TARGET_DIR/debug/torrent-fuzz <file>"
  return 1
}
