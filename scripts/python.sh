# The Python environment: libtorrent, pytest and the style tools, all pinned in
# oracle_tests/requirements.txt.
# shellcheck shell=bash

PYTHON_MINIMUM=3.11

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python; do
    candidate=$(command -v "$candidate") || continue
    "$candidate" -c "import sys; sys.exit(sys.version_info < (${PYTHON_MINIMUM/./, }))" 2>/dev/null || continue
    echo "$candidate"
    return
  done
  die "Python $PYTHON_MINIMUM or newer is missing" \
    "Install it (on Debian: apt-get install python3 python3-venv), or name it: PYTHON=/path/to/python3.11"
}

# Sets VENV and puts its programs first on PATH. The folder's name carries the
# checksum of what is in it, so checkouts that pin different versions do not
# fight over one environment.
require_venv() {
  local python key
  python=$(find_python)
  # shellcheck disable=SC2119
  key=$({
    "$python" -c 'import sys; print(sys.version, sys.prefix)'
    cat "$ROOT/oracle_tests/requirements.txt"
  } | sha256 | cut -c1-12)
  VENV=$CACHE/venv-$key
  [[ -e $VENV/.complete ]] || with_lock "$CACHE/locks/venv.lock" install_venv "$python"
  # Windows keeps a venv's programs in Scripts.
  local bin=$VENV/bin
  [[ -d $bin ]] || bin=$VENV/Scripts
  export VENV PATH=$bin:$PATH
  # Nothing outside the environment may leak in, nor our bytecode into the tree.
  unset PYTHONPATH PYTHONHOME
  export PYTHONDONTWRITEBYTECODE=1
}

install_venv() {
  [[ ! -e $VENV/.complete ]] || return 0
  say "installing the Python environment into $VENV"
  mkdir -p "$CACHE"
  rm -rf "$VENV"
  create_venv "$1"
  run_logged venv-install "$VENV_PYTHON" -m pip install --no-input --disable-pip-version-check \
    -r "$ROOT/oracle_tests/requirements.txt" ||
    die "the Python packages could not be installed" \
      "pip needs to reach a package index (or set PIP_INDEX_URL), and libtorrent has no source" \
      "package: it needs a CPython that it ships a wheel for (3.11 on x86-64 Linux is tested)."
  touch "$VENV/.complete"
  # A name to type by hand; the script itself goes by the checksum.
  ln -sfn "$(basename "$VENV")" "$CACHE/venv"
}

# Debian splits ensurepip into python3-venv; where only pip is there, it can
# install itself into an environment made without it.
create_venv() {
  VENV_PYTHON=$VENV/bin/python
  if ! run_logged venv-create "$1" -m venv "$VENV" 2>/dev/null; then
    rm -rf "$VENV"
    { run_logged venv-create "$1" -m venv --without-pip "$VENV" &&
      run_logged venv-pip "$1" -m pip --python "$VENV" install pip; } ||
      die "a virtual environment could not be made with $1" \
        "On Debian: apt-get install python3-venv (or python3-pip)."
  fi
  [[ -e $VENV_PYTHON ]] || VENV_PYTHON=$VENV/Scripts/python
}
