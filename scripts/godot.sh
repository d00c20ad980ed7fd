# Finds Godot, or unpacks it from Debian's unstable suite into the cache.
# shellcheck shell=bash

# The tests use the Logger class, which came with 4.5.
GODOT_MINIMUM=4.5

godot_help() {
  die "$1" \
    "Install Godot $GODOT_MINIMUM or newer (the standard build, not .NET) from godotengine.org and" \
    "put 'godot' on PATH, or name the program: GODOT=/path/to/godot ./build.sh ..."
}

# Prints the version when the program is a Godot that is new enough.
godot_version() {
  local version major minor
  version=$("$1" --headless --version 2>/dev/null </dev/null | tail -n 1) || return 1
  [[ $version =~ ^([0-9]+)\.([0-9]+) ]] || return 1
  major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
  ((major > ${GODOT_MINIMUM%.*} || (major == ${GODOT_MINIMUM%.*} && minor >= ${GODOT_MINIMUM#*.}))) || return 1
  echo "$version"
}

# Sets and exports GODOT. Scripts and tests that start a second Godot use it
# too: the running program's own path can be the loader's.
require_godot() {
  local candidate version
  if [[ -n ${GODOT:-} ]]; then
    candidate=$(command -v "$GODOT") || godot_help "GODOT names '$GODOT', which is not a program"
    version=$(godot_version "$candidate") ||
      godot_help "GODOT names '$GODOT', which is not Godot $GODOT_MINIMUM or newer"
  else
    for candidate in godot godot4 "$CACHE/tools/godot"; do
      candidate=$(command -v "$candidate") || continue
      version=$(godot_version "$candidate") && break
      candidate=
    done
    if [[ -z $candidate ]]; then
      with_lock "$CACHE/locks/godot.lock" install_godot
      candidate=$CACHE/tools/godot
      version=$(godot_version "$candidate") || godot_help "the Godot in $CACHE/tools does not start"
    fi
  fi
  export GODOT=$candidate
  say "Godot $version ($GODOT)"
}

# --- the Debian way -------------------------------------------------------

# The mirror this machine is configured with; no host is written down here.
debian_mirror() {
  local codename
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016 # the $(...) are apt's own placeholders
  apt-get indextargets --format '$(IDENTIFIER) $(REPO_URI) $(RELEASE) $(LABEL)' 2>/dev/null |
    awk -v codename="$codename" '
      $1 != "Packages" { next }
      $4 == "Debian" { print $2; found = 1; exit }
      # Before the first "apt-get update" no label is known.
      $3 == codename && !guess { guess = $2 }
      END { if (!found && guess) print guess }'
}

is_debian() {
  # shellcheck source=/dev/null
  [[ -r /etc/os-release ]] && (. /etc/os-release && [[ ${ID:-} == debian ]])
}

install_godot() {
  # Another run may have installed it while this one waited for the lock.
  godot_version "$CACHE/tools/godot" >/dev/null && return
  local help="Godot cannot be installed from a Debian mirror"
  say "installing Godot from the Debian mirror into $CACHE/tools (about 180 MB)"
  unpack_from_debian godot "$CACHE/tools/godot-root" godot godot-template-release || godot_help "$help"
  write_godot_wrapper
}

# unpack_from_debian NAME FOLDER PACKAGES...: the packages of Debian's unstable
# suite with all that they need, down to the C library, in a folder of their own.
unpack_from_debian() {
  local name=$1 folder=$2
  shift 2
  open_debian "$name" unstable || return
  run_logged "$name-apt-download" apt-get -c="$DEBIAN/apt.conf" install \
    --no-install-recommends --download-only -y "$@" || return
  close_debian "$name" "$folder"
}

# unpack_alone NAME FOLDER SUITES PACKAGES...: the packages without what they need,
# for programs that run with the system's C library.
unpack_alone() {
  local name=$1 folder=$2 suites=$3
  shift 3
  open_debian "$name" "$suites" || return
  run_logged "$name-apt-download" apt_download "$@" || return
  close_debian "$name" "$folder"
}

apt_download() (cd "$DEBIAN/cache/archives" && apt-get -c="$DEBIAN/apt.conf" download "$@")

# open_debian NAME SUITES: sets DEBIAN to a folder with lists and a configuration
# for apt that are its own.
open_debian() {
  local name=$1 mirror
  DEBIAN=$CACHE/tools/$1.partial
  { is_debian && have apt-get && have dpkg-deb; } || {
    warn "this is no Debian system"
    return 1
  }
  mirror=$(debian_mirror)
  [[ -n $mirror ]] || {
    warn "apt has no Debian mirror configured"
    return 1
  }
  rm -rf "$DEBIAN"
  mkdir -p "$DEBIAN/lists/partial" "$DEBIAN/cache/archives/partial" "$DEBIAN/root"
  write_apt_config "$DEBIAN" "$mirror" "$2"
  run_logged "$name-apt-update" apt-get -c="$DEBIAN/apt.conf" update
}

# close_debian NAME FOLDER: unpacks what was downloaded into the folder.
close_debian() {
  local deb
  for deb in "$DEBIAN"/cache/archives/*.deb; do
    run_logged "$1-unpack" dpkg-deb -x "$deb" "$DEBIAN/root" || return
  done
  rm -rf "$2"
  mv "$DEBIAN/root" "$2"
  rm -rf "$DEBIAN"
}

# A configuration of its own: the system's package state is neither read nor
# changed, and root is not needed. Given with -c it is read last, so it can
# clear the hooks and extra indexes that the system's configuration asks for.
write_apt_config() {
  local work=$1 mirror=$2 keyring option= suite
  for keyring in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
    [[ -r $keyring ]] && option="[signed-by=$keyring] " && break
  done
  for suite in $3; do echo "deb ${option}$mirror $suite main"; done >"$work/sources.list"
  : >"$work/status"
  cat >"$work/apt.conf" <<APT
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::State::status "$work/status";
Dir::State::extended_states "$work/extended_states";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-large;
#clear Acquire::IndexTargets::deb::DEP-11-icons-hidpi;
#clear Acquire::IndexTargets::deb::DEP-11-icons-large-hidpi;
APT
}

# Unstable's C library is newer than the system's, so Godot runs through the
# loader that came with it.
write_godot_wrapper() {
  cat >"$CACHE/tools/godot.new" <<WRAPPER
#!/bin/sh
# Starts the Godot beside this file with the libraries beside it.
root=\$(dirname "\$(readlink -f "\$0")")/godot-root
lib=\$root/usr/lib/$(debian_triplet)
exec "\$lib/$(debian_loader)" \\
  --library-path "\$lib:\$lib/pulseaudio:\$lib/blas:\$lib/lapack" \\
  "\$root/usr/bin/godot" "\$@"
WRAPPER
  chmod +x "$CACHE/tools/godot.new"
  mv "$CACHE/tools/godot.new" "$CACHE/tools/godot"
}

debian_triplet() {
  case $(host_arch) in
    x86_64) echo x86_64-linux-gnu ;;
    arm64) echo aarch64-linux-gnu ;;
  esac
}

debian_loader() {
  case $(host_arch) in
    x86_64) echo ld-linux-x86-64.so.2 ;;
    arm64) echo ld-linux-aarch64.so.1 ;;
  esac
}

# Whether GODOT is the one that install_godot put into the cache.
is_cached_godot() { [[ $GODOT -ef $CACHE/tools/godot ]]; }
