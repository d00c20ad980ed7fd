# Windows libraries on Linux: the linker of mingw-w64, and a standard library for
# the installed compiler.
# shellcheck shell=bash

WINDOWS_TARGET=x86_64-pc-windows-gnu
MINGW=x86_64-w64-mingw32
# Its programs run with the C library of any newer system too.
WINDOWS_SUITE=bookworm
# Where Debian's sources of the standard library may be.
RUST_SRC_SUITES="bookworm trixie-backports unstable"

build_windows() {
  local profile=$1 target=$WINDOWS_TARGET
  if [[ $(host_platform) == windows ]]; then
    target=x86_64-pc-windows-msvc
    need_rust_target "$target"
  else
    require_windows_toolchain
  fi
  cargo_library "$profile" "$target"
  install_library "$TARGET_DIR/$target/$profile/torrent_godot.dll" \
    "torrent_godot.windows.$profile.x86_64.dll"
}

# Exports what Cargo needs to build for Windows here.
require_windows_toolchain() {
  require_mingw
  require_windows_std
  export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=$MINGW-gcc
  export CC_x86_64_pc_windows_gnu=$MINGW-gcc AR_x86_64_pc_windows_gnu=$MINGW-ar
}

# --- mingw ------------------------------------------------------------------

# Puts the linker on PATH.
require_mingw() {
  local root=$CACHE/tools/mingw-root
  ! { have "$MINGW-gcc" && have "$MINGW-ar" && have "$MINGW-dlltool"; } || return 0
  [[ -e $root/.complete ]] || with_lock "$CACHE/locks/mingw.lock" install_mingw "$root"
  export PATH=$root/links:$PATH
  run_logged mingw-version "$MINGW-gcc" --version || die "the linker in $root does not start"
}

install_mingw() {
  local root=$1 tool
  # Another run may have installed it while this one waited for the lock.
  [[ ! -e $root/.complete ]] || return 0
  say "installing mingw-w64 from the Debian mirror into $root (about 70 MB)"
  unpack_alone mingw "$root" "$WINDOWS_SUITE" \
    gcc-mingw-w64-x86-64-posix gcc-mingw-w64-x86-64-posix-runtime gcc-mingw-w64-base \
    binutils-mingw-w64-x86-64 mingw-w64-x86-64-dev mingw-w64-common ||
    die "mingw-w64, which links for Windows, is missing" \
      "On Debian: apt-get install gcc-mingw-w64-x86-64"
  mkdir -p "$root/links"
  ln -s "../usr/bin/$MINGW-gcc-posix" "$root/links/$MINGW-gcc"
  # dlltool starts the assembler by its name.
  for tool in ar as dlltool ld ranlib strip windres; do
    ln -s "../usr/bin/$MINGW-$tool" "$root/links/$MINGW-$tool"
  done
  touch "$root/.complete"
}

# --- the standard library ---------------------------------------------------

# From the toolchain, or else from rustup, or else built from Debian's sources.
require_windows_std() {
  [[ ! -d $(rustc --print target-libdir --target "$WINDOWS_TARGET") ]] || return 0
  if have rustup; then
    say "adding the Rust target $WINDOWS_TARGET"
    ! run_logged rustup-windows rustup target add "$WINDOWS_TARGET" || return 0
    warn "rustup has no standard library for $WINDOWS_TARGET here; building one"
  fi
  local sysroot
  sysroot=$CACHE/tools/std-$WINDOWS_TARGET-$(rust_release)
  [[ -e $sysroot/.complete ]] || with_lock "$CACHE/locks/windows-std.lock" install_windows_std "$sysroot"
  export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="--sysroot=$sysroot"
}

rust_release() { rustc -vV | sed -n 's/^release: //p'; }

windows_std_help() {
  die "$1" \
    "With rustup: rustup target add $WINDOWS_TARGET" \
    "Debian's packages rust-src of $RUST_SRC_SUITES were looked at, too; they have" \
    "to be of exactly the compiler's version, $(rust_release)."
}

install_windows_std() {
  local sysroot=$1 source=$CACHE/tools/rust-src
  [[ ! -e $sysroot/.complete ]] || return 0
  say "building the standard library for $WINDOWS_TARGET into $sysroot"
  unpack_rust_src "$source" ||
    windows_std_help "there is no standard library for $WINDOWS_TARGET"
  run_logged windows-std build_windows_std "$source" "$sysroot.partial" ||
    windows_std_help "the standard library for $WINDOWS_TARGET could not be built"
  rm -rf "$source" "$sysroot"
  touch "$sysroot.partial/.complete"
  mv "$sysroot.partial" "$sysroot"
}

unpack_rust_src() {
  local version
  open_debian rust-src "$RUST_SRC_SUITES" || return
  version=$(apt-cache -c="$DEBIAN/apt.conf" madison rust-src |
    awk -v release="$(rust_release)" '
      # A Debian revision follows, as in 1.95.0+dfsg1-1.
      index($3, release) == 1 && substr($3, length(release) + 1) ~ /^[^0-9.]/ { print $3; exit }')
  [[ -n $version ]] || {
    warn "no suite has rust-src $(rust_release)"
    return 1
  }
  run_logged rust-src-download apt_download "rust-src=$version" || return
  close_debian rust-src "$1"
}

# build_windows_std SOURCE SYSROOT: what rustc's own build does for a target, with
# the compiler that is here.
build_windows_std() {
  local source sysroot=$2 build=$2.build lib=$2/lib/rustlib/$WINDOWS_TARGET/lib part
  source=$1/usr/src/rustc-$(rust_release)/library
  rm -rf "$sysroot" "$build"
  mkdir -p "$lib"
  # Without the dylib, nothing is linked.
  sed -i 's/^crate-type = .*/crate-type = ["rlib"]/' "$source/std/Cargo.toml"
  RUSTC_BOOTSTRAP=1 __CARGO_DEFAULT_LIB_METADATA=std CARGO_TARGET_DIR=$build \
    RUSTFLAGS="-Cforce-unwind-tables=yes -Cembed-bitcode=yes -Zforce-unstable-if-unmarked --cap-lints=allow" \
    cargo build --manifest-path "$source/sysroot/Cargo.toml" --release \
    --target "$WINDOWS_TARGET" --features "panic-unwind backtrace" || return
  cp "$build/$WINDOWS_TARGET"/release/deps/*.rlib "$lib" || return
  for part in rsbegin rsend; do
    RUSTC_BOOTSTRAP=1 rustc --target "$WINDOWS_TARGET" --emit=obj --crate-type=lib \
      --cap-lints=allow -Cpanic=abort -o "$lib/$part.o" "$source/rtstartup/$part.rs" || return
  done
  rm -rf "$build"
}
