# Windows programs on Linux, by a Wine from Debian that is unpacked into the cache;
# and the suite that tests the library under it.
# shellcheck shell=bash

WINE_ROOT=$CACHE/tools/wine-root

# Sets WINE, a program that runs Windows programs, and exports what it needs.
require_wine() {
  [[ $(host_platform)-$(host_arch) == linux-x86_64 ]] ||
    die "Windows programs are run on x86-64 Linux" "Wine for other processors runs none for this one."
  [[ -e $WINE_ROOT/.complete ]] || with_lock "$CACHE/locks/wine.lock" install_wine
  WINE=$WINE_ROOT/wine
  # Its windows are nobody's to see, and neither .NET nor HTML is needed.
  export WINEPREFIX=$TARGET_DIR/wine WINEDEBUG=${WINEDEBUG:--all} \
    WINEDLLOVERRIDES="mscoree,mshtml=;winemenubuilder.exe="
  unset DISPLAY
  [[ -e $WINEPREFIX/.complete ]] || make_wine_prefix
}

install_wine() {
  [[ ! -e $WINE_ROOT/.complete ]] || return 0
  say "installing Wine from the Debian mirror into $WINE_ROOT (about 170 MB)"
  unpack_alone wine "$WINE_ROOT" "$WINDOWS_SUITE" \
    wine64 libwine libz-mingw-w64 \
    libasyncns0 libcapi20-3 libusb-1.0-0 libgphoto2-6 libpcap0.8 ||
    die "Wine cannot be installed from a Debian mirror" \
      "The Windows tests need it; on Debian: apt-get install wine64"
  write_wine_scripts
  touch "$WINE_ROOT/.complete"
}

# Debian's own start it by absolute paths.
write_wine_scripts() {
  local name
  ln -sf wineserver64 "$WINE_ROOT/usr/lib/wine/wineserver"
  for name in wine wineserver; do
    cat >"$WINE_ROOT/$name" <<WRAPPER
#!/bin/sh
# Starts the Wine beside this file with the libraries beside it.
root=\$(dirname "\$(readlink -f "\$0")")
lib=\$root/usr/lib/$(debian_triplet)
export LD_LIBRARY_PATH="\$lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export WINESERVER="\$root/usr/lib/wine/wineserver64"
exec "\$root/usr/lib/wine/${name}64" "\$@"
WRAPPER
    chmod +x "$WINE_ROOT/$name"
  done
}

# A folder that is a computer to Windows programs.
make_wine_prefix() {
  local system=$WINEPREFIX/drive_c/windows/system32
  say "preparing Wine in $WINEPREFIX"
  rm -rf "$WINEPREFIX"
  mkdir -p "$system"
  # Debian keeps it apart; Wine does not start without.
  cp "$WINE_ROOT/usr/$MINGW/lib/zlib1.dll" "$system"
  # Rust programs take their randomness from here, which this Wine lacks.
  run_logged wine-random "$MINGW-gcc" -shared -o "$system/bcryptprimitives.dll" \
    "$ROOT/test/windows/bcryptprimitives.c" -ladvapi32 || die "Wine's random numbers do not compile"
  run_logged wine-boot limited 300 "$WINE" wineboot -i || die "Wine does not start"
  run_logged wine-boot-end end_wine
  touch "$WINEPREFIX/.complete"
}

# Waits for what Wine has to write, and ends it.
end_wine() { limited 60 "$WINE_ROOT/wineserver" -k; }

# --- windows ----------------------------------------------------------------

# How many tests may be skipped here.
WINDOWS_SKIPS=10
WINDOWS_PACKAGES=(--package torrent-core --package torrent-engine --package torrent-rpc)
# Files, paths, processes and sockets: what differs between systems.
WINDOWS_ORACLE_TESTS=(
  tests/test_bad_input.py
  tests/test_checking.py
  tests/test_create.py
  tests/test_download_from_libtorrent.py
  tests/test_magnet.py
  tests/test_protocol.py
  tests/test_resume.py
  tests/test_resume_exchange.py
  tests/test_state_dir.py
  tests/test_storage.py
  tests/test_tracker.py
  tests/test_upload_to_libtorrent.py
)

# suite_windows [PART] [ARGUMENTS...]: arguments go to the part's runner.
suite_windows() {
  local parts=(library rust oracle) part
  WINDOWS_PASSED=0 WINDOWS_FAILED=0 WINDOWS_SKIPPED=()
  if (($# > 0)); then
    case $1 in
      library | rust | oracle) parts=("$1") ;;
      *) die "the windows suite has no part '$1'" "There are: ${parts[*]}" ;;
    esac
    shift
  fi
  need_cargo
  require_windows_toolchain
  require_wine
  # Runs until its input ends, and Wine's services with it: without, each program
  # would start them again, which takes a second or more.
  local keeper
  exec {keeper}> >(exec "$WINE" cmd >/dev/null 2>&1)
  for part in "${parts[@]}"; do "windows_$part" "$@"; done
  exec {keeper}>&-
  run_logged wine-end end_wine || true
  say "skipped on Windows: ${#WINDOWS_SKIPPED[@]}"
  ((${#WINDOWS_SKIPPED[@]} == 0)) || printf '    %s\n' "${WINDOWS_SKIPPED[@]}" >&2
  if ((${#WINDOWS_SKIPPED[@]} > WINDOWS_SKIPS)); then
    warn "at most $WINDOWS_SKIPS tests may be skipped"
    ((WINDOWS_FAILED += 1))
  fi
  report windows "$WINDOWS_PASSED" "$WINDOWS_FAILED"
}

# One test: the library is one that Windows loads and Godot finds its way into.
windows_library() {
  local program=$TARGET_DIR/$WINDOWS_TARGET/load_library.exe
  build_library windows debug
  say "loading the library"
  if run_logged windows-loader "$MINGW-gcc" -o "$program" "$ROOT/test/windows/load_library.c" &&
    run_logged windows-load limited 120 "$WINE" "$program" \
      "$ADDON/bin/torrent_godot.windows.debug.x86_64.dll"; then
    ((WINDOWS_PASSED += 1))
  else
    warn "Windows cannot load the library"
    ((WINDOWS_FAILED += 1))
  fi
}

windows_rust() {
  local runner="target.$WINDOWS_TARGET.runner=['$WINE']" name
  say "running the Rust tests on Windows (core, engine, rpc)"
  run_rust_tests windows-rust --config "$runner" --target "$WINDOWS_TARGET" \
    "${WINDOWS_PACKAGES[@]}" --lib --bins --tests "$@"
  ((WINDOWS_PASSED += RUST_PASSED, WINDOWS_FAILED += RUST_FAILED)) || true
  while IFS= read -r name; do WINDOWS_SKIPPED+=("$name"); done < <(
    sed -nE 's/^test (.*) \.\.\. ignored(, (.*))?\r?$/\1: \3/p' "$LOGS/windows-rust.log"
  )
}

windows_oracle() {
  local name
  require_venv
  say "building torrent-rpc for Windows"
  run_logged windows-rpc cargo build --target "$WINDOWS_TARGET" -p torrent-rpc ||
    die "torrent-rpc does not compile"
  say "running a part of the oracle tests with it"
  ORACLE_PASSED=0 ORACLE_FAILED=0
  printf -v TORRENT_RPC '%q ' "$WINE" "$TARGET_DIR/$WINDOWS_TARGET/debug/torrent-rpc.exe"
  export TORRENT_RPC
  # Skips are counted here, and not as failures.
  GODOT_TORRENT_SKIPS=$RESULTS/windows-skips
  export GODOT_TORRENT_SKIPS
  : >"$GODOT_TORRENT_SKIPS"
  (($# > 0)) || set -- "${WINDOWS_ORACLE_TESTS[@]}"
  run_oracle windows-oracle "$@"
  ((WINDOWS_PASSED += ORACLE_PASSED, WINDOWS_FAILED += ORACLE_FAILED)) || true
  while IFS= read -r name; do WINDOWS_SKIPPED+=("$name"); done <"$GODOT_TORRENT_SKIPS"
}
