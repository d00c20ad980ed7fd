# Installs a GDScript test runner into addons/gut: GUT itself where it can be
# had, the small runner of test/support where it cannot.
# shellcheck shell=bash

GUT_VERSION=9.6.0
# Of the release's addons/gut, as tree_sha256 computes it.
GUT_SHA256=c1f259c00593dd67dc11541c72a3abf6ddd58e6565cee20577eb16654ac10f7c
GUT_ARCHIVE=https://github.com/bitwes/Gut/archive/refs/tags/v$GUT_VERSION.tar.gz

SMALL_RUNNER=$ROOT/test/support/gut

# Prints the folder of a GUT that is at hand, or nothing.
find_gut() {
  local cached=$CACHE/gut-$GUT_VERSION/addons/gut folder
  if [[ -n ${GUT_PATH:-} ]]; then
    # The user's own choice of version; no checksum.
    for folder in "$GUT_PATH" "$GUT_PATH/gut" "$GUT_PATH/addons/gut"; do
      [[ -e $folder/gut_cmdln.gd ]] && echo "$folder" && return
    done
    die "GUT_PATH is '$GUT_PATH', which contains no gut_cmdln.gd"
  fi
  with_lock "$CACHE/locks/gut.lock" download_gut "$cached"
  [[ ! -e $cached/gut_cmdln.gd ]] || echo "$cached"
}

is_gut() { [[ -d $1 && $(tree_sha256 "$1") == "$GUT_SHA256" ]]; }

# download_gut FOLDER: leaves the folder absent when GUT cannot be had.
download_gut() {
  is_gut "$1" && return
  local work=$CACHE/gut-$GUT_VERSION.partial
  rm -rf "$work" "$1"
  mkdir -p "$work" "$(dirname "$1")"
  say "downloading GUT $GUT_VERSION"
  if ! run_logged gut-download download "$GUT_ARCHIVE" "$work/gut.tar.gz" 2>/dev/null; then
    say "GUT $GUT_VERSION cannot be downloaded (set GUT_PATH to a copy of it)"
  elif ! tar -xzf "$work/gut.tar.gz" -C "$work" --strip-components=1; then
    warn "the archive of GUT $GUT_VERSION does not unpack"
  elif ! is_gut "$work/addons/gut"; then
    warn "the archive of GUT $GUT_VERSION has another checksum than expected and is not used"
  else
    mv "$work/addons/gut" "$1"
  fi
  rm -rf "$work"
}

# download URL FILE: with whatever this machine has. Fails soon where there is
# no network, because there is another runner to fall back on.
download() {
  if have curl; then
    curl -fsSL --connect-timeout 10 --max-time 120 -o "$2" "$1"
  elif have wget; then
    wget -q --timeout=10 --tries=1 -O "$2" "$1"
  else
    "$(find_python)" -c 'import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=10) as answer, open(sys.argv[2], "wb") as file:
    file.write(answer.read())' "$1" "$2"
  fi
}

# install_runner FROM TO: the copy says where it came from, so a second run
# leaves it alone.
install_runner() {
  local from=$1 to=$2 key
  key=$(tree_sha256 "$from")
  [[ -e $to/.installed && $(cat "$to/.installed") == "$key" ]] && return
  rm -rf "$to"
  mkdir -p "$(dirname "$to")"
  cp -r "$from" "$to"
  echo "$key" >"$to/.installed"
}

# link TARGET NAME: leaves a good link alone; a new one would look like a change
# that has to be imported.
link() { [[ $(readlink "$2") == "$1" ]] || ln -sfn "$1" "$2"; }

# make_small_runner_project FOLDER: a project of its own for the small runner,
# made of links to the real one. Both runners call their classes the same, and a
# project can hold only one of them.
make_small_runner_project() {
  local project=$1
  mkdir -p "$project/addons"
  cmp -s "$PROJECT/project.godot" "$project/project.godot" ||
    cp "$PROJECT/project.godot" "$project/project.godot"
  link "$ROOT/demo" "$project/demo"
  link "$ROOT/test" "$project/test"
  link "$ADDON" "$project/addons/godot-torrent"
  install_runner "$SMALL_RUNNER" "$project/addons/gut"
  import_project "$project"
}
