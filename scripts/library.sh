# Compiles the GDExtension library and puts it where Godot looks for it.
# shellcheck shell=bash

build_command() {
  local platform profiles=()
  platform=$(host_platform)
  for argument in "$@"; do
    case $argument in
      linux | windows | macos) platform=$argument ;;
      --debug) profiles+=(debug) ;;
      --release) profiles+=(release) ;;
      *) die "build does not know '$argument'" "./build.sh --help lists what it knows." ;;
    esac
  done
  ((${#profiles[@]} > 0)) || profiles=(debug release)
  local profile
  for profile in "${profiles[@]}"; do build_library "$platform" "$profile"; done
}

need_cargo() {
  need cargo "Install Rust from rustup.rs (or set PATH so that cargo is found)."
}

# build_library PLATFORM PROFILE
build_library() {
  local platform=$1 profile=$2
  need_cargo
  say "building the library for $platform ($profile)"
  case $platform in
    linux)
      [[ $(host_platform) == linux ]] || die "Linux libraries are built on Linux"
      cargo_library "$profile" ""
      install_library "$TARGET_DIR/$profile/libtorrent_godot.so" \
        "libtorrent_godot.linux.$profile.$(host_arch).so"
      ;;
    windows) build_windows "$profile" ;;
    macos) build_macos "$profile" ;;
  esac
}

# cargo_library PROFILE TARGET: an empty target is the host's own.
cargo_library() {
  local profile=$1 target=$2 flags
  case $profile in
    # The library that the editor loads carries the class reference (F1). Built as a part of
    # the workspace, it has what tests have compiled already.
    debug) flags=("${WHOLE_WORKSPACE[@]}" --lib) ;;
    # What a game ships has the features that it needs, and no others.
    release) flags=(--package torrent-godot --release) ;;
  esac
  [[ -z $target ]] || flags+=(--target "$target")
  run_logged "build-${target:-host}-$profile" cargo build "${flags[@]}" ||
    die "the library does not compile"
}

# A running Godot may have the old file mapped, so it is replaced and not
# written over.
install_library() {
  mkdir -p "$ADDON/bin"
  if ! cmp -s "$1" "$ADDON/bin/$2"; then
    cp "$1" "$ADDON/bin/$2.new"
    mv "$ADDON/bin/$2.new" "$ADDON/bin/$2"
  fi
}

need_rust_target() {
  # Without rustup the toolchain came another way; then cargo says what it lacks.
  have rustup || return 0
  rustup target list --installed 2>/dev/null | grep -qx "$1" && return
  say "adding the Rust target $1"
  run_logged "rustup-$1" rustup target add "$1" ||
    die "the Rust target $1 is missing" "rustup target add $1"
}

build_macos() {
  local profile=$1 target libraries=()
  [[ $(host_platform) == macos ]] ||
    die "macOS libraries are built on a Mac" "Apple's linker and SDK are not to be had elsewhere; continuous integration builds them."
  for target in x86_64-apple-darwin aarch64-apple-darwin; do
    need_rust_target "$target"
    cargo_library "$profile" "$target"
    libraries+=("$TARGET_DIR/$target/$profile/libtorrent_godot.dylib")
  done
  lipo -create "${libraries[@]}" -output "$TARGET_DIR/libtorrent_godot.$profile.dylib"
  install_library "$TARGET_DIR/libtorrent_godot.$profile.dylib" \
    "libtorrent_godot.macos.$profile.universal.dylib"
}
