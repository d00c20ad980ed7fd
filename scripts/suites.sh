# The test suites. Each ends by reporting how many tests passed and failed; a
# suite that cannot run, or runs nothing, counts as one failure.
# shellcheck shell=bash

SUITES=(style rust fuzz gut scenes export oracle)
# What `test deep` runs: each takes half an hour at most.
DEEP_SUITES=(fuzz random)
# Run when they are named.
EXTRA_SUITES=(windows)
RESULTS=$TARGET_DIR/results
# With the features of the library that Godot loads in tests, so that what it is
# made of compiles once for all suites.
WHOLE_WORKSPACE=(--workspace --features torrent-godot/docs)

test_command() {
  local suites=("${SUITES[@]}") arguments=()
  if (($# > 0)); then
    if [[ $1 == deep ]]; then
      suites=("${DEEP_SUITES[@]/#/deep_}")
      if (($# > 1)); then
        [[ " ${DEEP_SUITES[*]} " == *" $2 "* ]] ||
          die "there is no deep suite '$2'" "There are: ${DEEP_SUITES[*]}"
        suites=("deep_$2")
        shift
      fi
    elif [[ " ${SUITES[*]} ${EXTRA_SUITES[*]} " == *" $1 "* ]]; then
      suites=("$1")
    else
      die "there is no test suite '$1'" "There are: ${SUITES[*]} ${EXTRA_SUITES[*]} deep"
    fi
    shift
    arguments=("$@")
  fi

  mkdir -p "$RESULTS"
  seed_tests 1
  local name passed failed suite_passed suite_failed
  passed=0 failed=0
  for name in "${suites[@]}"; do
    rm -f "$RESULTS/$name"
    # In a subshell of its own: an error ends this suite and not the others.
    # (Not inside a condition, where bash would ignore errors on the way.)
    set +e
    (
      set -e
      with_lock "$TARGET_DIR/locks/suite-$name.lock" "suite_$name" ${arguments[@]+"${arguments[@]}"}
    )
    set -e
    if [[ -s $RESULTS/$name ]]; then
      read -r suite_passed suite_failed <"$RESULTS/$name"
    else
      suite_passed=0 suite_failed=1
      warn "the $name suite did not run to its end"
    fi
    if ((suite_passed + suite_failed == 0)); then
      warn "the $name suite ran no test"
      suite_failed=1
    fi
    echo "$name: $suite_passed passed, $suite_failed failed"
    ((passed += suite_passed, failed += suite_failed)) || true
  done
  echo "$passed passed, $failed failed"
  ((failed == 0))
}

# seed_tests SEED: what tests draw by chance, where nothing else is asked for. It is
# the same in each run, since a run judges a change, and must not fail for what was
# there before it.
seed_tests() {
  local name
  for name in GODOT_TORRENT_SEED TORRENT_SEED PROPTEST_RNG_SEED; do
    [[ -n ${!name:-} ]] || export "$name=$1"
  done
}

# report SUITE PASSED FAILED
report() { echo "$2 $3" >"$RESULTS/$1"; }

# --- style: each gate is one test ------------------------------------------

suite_style() {
  STYLE_PASSED=0 STYLE_FAILED=0
  need_cargo
  require_venv
  say "checking style"
  local shell_files=("$ROOT/build.sh" "$ROOT"/scripts/*.sh) gdscript=() file
  while IFS= read -r file; do gdscript+=("$file"); done < <(gdscript_files)

  gate rustfmt cargo fmt --all --check
  gate clippy cargo clippy "${WHOLE_WORKSPACE[@]}" --all-targets -- -D warnings
  gate rustdoc env RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings" cargo doc "${WHOLE_WORKSPACE[@]}" --no-deps
  gate ruff-check ruff check --no-cache .
  gate ruff-format ruff format --no-cache --check .
  gate gdformat gdformat --check "${gdscript[@]}"
  gate gdlint gdlint "${gdscript[@]}"
  gate bash-syntax bash_syntax "${shell_files[@]}"
  gate licences python "$ROOT/scripts/licences.py" --check "$ADDON/LICENSES-THIRD-PARTY.txt"
  gate shellcheck shellcheck --external-sources build.sh .ci/run
  report style "$STYLE_PASSED" "$STYLE_FAILED"
}

# All of ours: neither what is built nor the runner that is installed.
gdscript_files() {
  find addons/godot-torrent demo rust/bench test -name '*.gd' 2>/dev/null | LC_ALL=C sort
}

bash_syntax() {
  local file
  for file in "$@"; do bash -n "$file" || return; done
}

gate() {
  local name=$1
  shift
  if run_logged "style-$name" "$@"; then
    ((STYLE_PASSED += 1))
  else
    warn "style gate $name failed: $*"
    ((STYLE_FAILED += 1))
  fi
}

# --- rust -------------------------------------------------------------------

suite_rust() {
  need_cargo
  say "running the Rust tests (unit, property, simulation, documentation)"
  run_rust_tests rust-tests "${WHOLE_WORKSPACE[@]}" "$@"
  report rust "$RUST_PASSED" "$RUST_FAILED"
}

# run_rust_tests LABEL ARGUMENTS...: sets RUST_PASSED and RUST_FAILED.
run_rust_tests() {
  local log=$LOGS/$1.log label=$1 status=0
  shift
  run_logged "$label" cargo test --no-fail-fast "$@" || status=$?
  ((status == 0)) || grep -E '^(test .* FAILED|---- .* ----$|error(\[|:))' "$log" >&2 || true
  read -r RUST_PASSED RUST_FAILED < <(awk '
    /^test result: / {
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^passed/) passed += $(i - 1)
        if ($i ~ /^failed/) failed += $(i - 1)
      }
    }
    END { print passed + 0, failed + 0 }' "$log")
  # A test program that dies has no result line; cargo's own status knows.
  ((status == 0 || RUST_FAILED > 0)) || RUST_FAILED=1
}

# What is drawn by chance, drawn anew: property tests of the core, and torrents,
# links and folders that libtorrent judges as well.
suite_deep_random() {
  local seed passed=0
  need_cargo
  require_venv
  run_logged build-rpc cargo build --release -p torrent-rpc || die "torrent-rpc does not compile"
  export TORRENT_RPC=$TARGET_DIR/release/torrent-rpc
  ORACLE_PASSED=0 ORACLE_FAILED=0
  for _ in 1 2 3 4 5; do
    seed=$(od -An -N4 -tu4 /dev/urandom)
    seed=${seed//[[:space:]]/}
    unset GODOT_TORRENT_SEED TORRENT_SEED PROPTEST_RNG_SEED
    seed_tests "$seed"
    say "running the tests of chance with the seed $seed"
    run_rust_tests "deep-random-rust-$seed" -p torrent-core --lib
    ((passed += RUST_PASSED, ORACLE_FAILED += RUST_FAILED)) || true
    run_oracle "deep-random-oracle-$seed" tests/test_metainfo_fuzz.py tests/test_magnet_fuzz.py \
      tests/test_create_fuzz.py
  done
  report deep_random "$((passed + ORACLE_PASSED))" "$ORACLE_FAILED"
}

# --- gut --------------------------------------------------------------------

suite_gut() {
  local gut
  GUT_PASSED=0 GUT_FAILED=0
  require_godot
  GUT_GODOT=("$GODOT" --headless)
  gut=$(find_gut)
  build_library "$(host_platform)" debug

  # Without GUT, the small runner stands in for it in the checkout as well.
  with_lock "$TARGET_DIR/locks/project.lock" prepare_project "${gut:-$SMALL_RUNNER}"
  if [[ -n $gut ]]; then
    check_runner gut "$gut"
    run_gut gut "$PROJECT" "GUT ($gut)" "$@"
  fi
  make_small_runner_project "$TARGET_DIR/small-runner"
  check_runner small-runner "$SMALL_RUNNER"
  run_gut small-runner "$TARGET_DIR/small-runner" "the small runner (test/support)" "$@"
  check_package
  report gut "$GUT_PASSED" "$GUT_FAILED"
}

prepare_project() {
  install_runner "$1" "$ROOT/addons/gut"
  import_project "$PROJECT"
}

# How the tests' Godot is started; with a window for those that look at scenes.
GUT_GODOT=()
GUT_FOLDERS=(test/unit test/integration)

# run_gut LABEL PROJECT NAME ARGUMENTS...
run_gut() {
  local label=$1 project=$2 name=$3 count expect=() folders
  shift 3
  # A GUT that finds a broken script stops early and says nothing in its status.
  # So every test file has to show up, unless the arguments chose some.
  (($# > 0)) || expect=(--expect-suites "${GUT_FOLDERS[@]/#/$ROOT/}")
  printf -v folders ',res://%s' "${GUT_FOLDERS[@]}"
  say "running the GDScript tests under $name"
  count=$(count_gut "$label" "$project" "-gdir=${folders#,}" "$@" -- \
    --root "$ROOT" ${expect[@]+"${expect[@]}"})
  if [[ $count == "0 0" ]]; then
    warn "no GDScript test ran under $name"
    count="0 1"
  fi
  ((GUT_PASSED += ${count% *}, GUT_FAILED += ${count#* })) || true
}

# check_runner LABEL FOLDER: one test of the runner itself. It has to pass what
# passes and, above all, fail what fails.
check_runner() {
  local label=$1 folder=$2 project=$TARGET_DIR/selftest-$1 passing failing count
  local tests=$ROOT/test/support/selftest
  mkdir -p "$project"
  [[ -e $project/project.godot ]] ||
    printf 'config_version=5\n\n[application]\n\nconfig/name="selftest"\n' >"$project/project.godot"
  link "$tests" "$project/test"
  install_runner "$folder" "$project/addons/gut"
  import_project "$project"
  say "checking the runner itself ($label)"
  passing=$(grep -c 'func test_' "$tests/test_passing.gd")
  failing=$(grep -c 'func test_' "$tests/test_failing.gd")
  count=$(count_gut "selftest-$label" "$project" -gdir=res://test -- 2>/dev/null)
  if [[ $count == "$passing $failing" ]]; then
    ((GUT_PASSED += 1))
  else
    warn "the runner reported $count instead of $passing $failing; see $LOGS/selftest-$label.log"
    ((GUT_FAILED += 1))
  fi
}

# One test of the package: unpacked into a game that has nothing else, it works.
check_package() {
  local game=$TARGET_DIR/empty-game python
  python=$(find_python)
  say "checking the package in an empty game"
  rm -rf "$game"
  mkdir -p "$game"
  cp "$ROOT"/test/support/empty_game/*.gd "$game"
  printf 'config_version=5\n\n[application]\n\nconfig/name="empty game"\n' >"$game/project.godot"
  if run_logged package-pack pack_addon "$game/addon.zip" &&
    run_logged package-unpack "$python" -m zipfile -e "$game/addon.zip" "$game" &&
    import_project "$game" &&
    run_logged package-run limited 300 "$GODOT" --headless --path "$game" -s res://check.gd; then
    ((GUT_PASSED += 1))
  else
    warn "the package does not work in an empty game"
    ((GUT_FAILED += 1))
  fi
}

# count_gut LABEL PROJECT RUNNER-ARGUMENTS... -- COUNTER-ARGUMENTS...
# Prints "passed failed".
count_gut() {
  local label=$1 project=$2 arguments=() status=0
  shift 2
  while [[ $1 != -- ]]; do arguments+=("$1") && shift; done
  shift
  local xml=$RESULTS/$label.xml home=$TARGET_DIR/godot-home/$label
  rm -rf "$xml" "$home"
  mkdir -p "$home"
  # user:// starts empty, and what tests leave there is not the user's.
  run_logged "$label" limited "${GUT_SECONDS:-2400}" \
    env XDG_DATA_HOME="$home" XDG_CONFIG_HOME="$home/config" XDG_CACHE_HOME="$home/cache" \
    "${GUT_GODOT[@]}" --path "$project" -s res://addons/gut/gut_cmdln.gd \
    -gconfig= -ginclude_subdirs -gexit -gdisable_colors -gjunit_xml_file="$xml" \
    "${arguments[@]}" || status=$?
  "$(find_python)" "$ROOT/scripts/junit.py" "$xml" --status "$status" "$@"
  rm -rf "$home"
}

# --- scenes -----------------------------------------------------------------

# The demos in a window, looked at. Under both runners as well.
suite_scenes() {
  local gut
  GUT_PASSED=0 GUT_FAILED=0
  require_godot
  require_display
  GUT_GODOT=("${GODOT_WINDOW[@]}")
  GUT_FOLDERS=(test/scenes)
  gut=$(find_gut)
  build_library "$(host_platform)" debug

  # What is to be looked at by a person too.
  export GODOT_TORRENT_SCREENSHOTS=$TARGET_DIR/screenshots
  rm -rf "$GODOT_TORRENT_SCREENSHOTS"
  mkdir -p "$GODOT_TORRENT_SCREENSHOTS"
  with_lock "$TARGET_DIR/locks/project.lock" prepare_project "${gut:-$SMALL_RUNNER}"
  [[ -z $gut ]] || with_display run_gut scenes "$PROJECT" "GUT, in a window" "$@"
  make_small_runner_project "$TARGET_DIR/small-runner"
  with_display run_gut scenes-small-runner "$TARGET_DIR/small-runner" \
    "the small runner, in a window" "$@"
  report scenes "$GUT_PASSED" "$GUT_FAILED"
}

# --- export -----------------------------------------------------------------

suite_export() {
  EXPORT_PASSED=0 EXPORT_FAILED=0
  require_godot
  build_library "$(host_platform)" debug
  build_library "$(host_platform)" release
  with_lock "$TARGET_DIR/locks/project.lock" make_export_project
  say "exporting the demos and running the game"
  export_game
  exported_file game.pck
  exported_file "libtorrent_godot.linux.release.$(host_arch).so"
  exported_demo loopback_transfer "OK: the files are the same"
  exported_demo test_basic "shipped torrent: welcome" "read by its path: " \
    "refused: an exported game cannot write into res://"
  exported_demo demo_advanced "OK: every phase"
  exported_demo mod_sharing "OK: the mod plays"
  checked_export whole "$EXPORT_PROJECT" 0 "Linux: OK, the library is in it"
  checked_export bare "$(project_without_library)" 1 "is missing: build it with"
  report export "$EXPORT_PASSED" "$EXPORT_FAILED"
}

# --- oracle -----------------------------------------------------------------

# What is run a second time, through the Godot classes.
ORACLE_SCENE_TESTS=(
  tests/test_download_from_libtorrent.py
  tests/test_upload_to_libtorrent.py
)

suite_oracle() {
  ORACLE_PASSED=0 ORACLE_FAILED=0
  need_cargo
  require_venv
  require_godot
  say "building torrent-rpc (release)"
  run_logged build-rpc cargo build --release -p torrent-rpc || die "torrent-rpc does not compile"
  build_library "$(host_platform)" debug
  with_lock "$TARGET_DIR/locks/project.lock" import_project "$PROJECT"

  say "running the tests against libtorrent $(python -c 'import libtorrent; print(libtorrent.__version__)')"
  export TORRENT_RPC=$TARGET_DIR/release/torrent-rpc
  run_oracle oracle "$@"
  if (($# == 0)); then
    say "running a part of them through a Godot scene"
    # Read with the rules of a shell, so a path may contain spaces.
    export GODOT_TORRENT_RPC
    printf -v GODOT_TORRENT_RPC '%q ' "$GODOT" --headless --no-header --path "$PROJECT" \
      res://demo/rpc_shim.tscn
    run_oracle oracle-scene "${ORACLE_SCENE_TESTS[@]}"
  fi
  report oracle "$ORACLE_PASSED" "$ORACLE_FAILED"
}

# run_oracle LABEL ARGUMENTS...
run_oracle() {
  local label=$1 status=0 count
  shift
  rm -f "$RESULTS/$label.xml"
  cd "$ROOT/oracle_tests"
  run_logged "$label" limited "${ORACLE_SECONDS:-2400}" python -m pytest -p no:cacheprovider \
    --junitxml="$RESULTS/$label.xml" "$@" || status=$?
  cd "$ROOT"
  count=$(python "$ROOT/scripts/junit.py" "$RESULTS/$label.xml" --status "$status")
  if [[ $count == "0 0" ]]; then
    warn "no test ran in $label"
    count="0 1"
  fi
  ((ORACLE_PASSED += ${count% *}, ORACLE_FAILED += ${count#* })) || true
}
