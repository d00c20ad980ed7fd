# Windows on a machine without a screen: an X server that draws into memory, and
# OpenGL in software.
# shellcheck shell=bash

DISPLAY_ROOT=$CACHE/tools/display-root

# Sets GODOT_WINDOW, the command that starts Godot with a window.
require_window() {
  GODOT_WINDOW=("$GODOT")
  # The cached Godot finds no OpenGL but what lies beside it.
  is_cached_godot || return 0
  with_lock "$CACHE/locks/display.lock" install_display
  GODOT_WINDOW=("$CACHE/tools/godot-window" --rendering-driver opengl3)
}

# The same for windows that nobody sees, on the X server that XVFB starts.
require_display() {
  require_window
  XVFB=()
  # Other systems have windows of their own.
  [[ $(host_platform) == linux ]] || return 0
  GODOT_WINDOW=("${GODOT_WINDOW[0]}" --display-driver x11 --rendering-driver opengl3
    --audio-driver Dummy --resolution 1280x720)
  if have Xvfb; then
    XVFB=(Xvfb)
    return
  fi
  with_lock "$CACHE/locks/display.lock" install_display
  # It starts its keyboard compiler by an absolute path, so it needs a root of its
  # own.
  XVFB=(chroot "$DISPLAY_ROOT" /usr/bin/Xvfb)
  ((EUID == 0)) || XVFB=(unshare --user --map-root-user "${XVFB[@]}")
}

display_help() {
  die "$1" "Install Xvfb and Mesa's software OpenGL; on Debian: apt-get install xvfb libgl1-mesa-dri"
}

install_display() {
  [[ -x $CACHE/tools/godot-window ]] && return
  say "installing Xvfb and a software OpenGL into $CACHE/tools (about 70 MB)"
  unpack_from_debian display "$DISPLAY_ROOT" \
    dash xvfb libgl1 libegl1 libgl1-mesa-dri libglx-mesa0 ||
    display_help "there is no X server, and none can be installed from a Debian mirror"
  local folder
  for folder in bin lib lib64; do
    [[ -e $DISPLAY_ROOT/$folder ]] || ln -s "usr/$folder" "$DISPLAY_ROOT/$folder"
  done
  mkdir -p "$DISPLAY_ROOT/tmp"
  chmod 1777 "$DISPLAY_ROOT/tmp"
  write_window_wrapper
}

# The newer of the two sets of libraries comes first, with its own loader.
write_window_wrapper() {
  cat >"$CACHE/tools/godot-window.new" <<WRAPPER
#!/bin/sh
# Starts the Godot beside this file with the OpenGL beside it.
tools=\$(dirname "\$(readlink -f "\$0")")
gl=\$tools/display-root/usr/lib/$(debian_triplet)
lib=\$tools/godot-root/usr/lib/$(debian_triplet)
export LIBGL_DRIVERS_PATH="\$gl/dri"
export __EGL_VENDOR_LIBRARY_DIRS="\$tools/display-root/usr/share/glvnd/egl_vendor.d"
exec "\$gl/$(debian_loader)" \\
  --library-path "\$gl:\$lib:\$lib/pulseaudio:\$lib/blas:\$lib/lapack" \\
  "\$tools/godot-root/usr/bin/godot" "\$@"
WRAPPER
  chmod +x "$CACHE/tools/godot-window.new"
  mv "$CACHE/tools/godot-window.new" "$CACHE/tools/godot-window"
}

# with_display COMMAND...: runs it with an X server of its own, which ends with it.
with_display() {
  if ((${#XVFB[@]} == 0)); then
    "$@"
    return
  fi
  local number=$TARGET_DIR/display-number server status=0 tries
  mkdir -p "$LOGS"
  : >"$number"
  # It finds a free display by itself and says which. With its last client it ends,
  # also where this script is ended in the middle.
  "${XVFB[@]}" -displayfd 3 -screen 0 1280x720x24 -nolisten tcp -terminate \
    3>"$number" >"$LOGS/xvfb.log" 2>&1 </dev/null &
  server=$!
  for ((tries = 0; tries < 600; tries++)); do
    [[ ! -s $number ]] || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  if [[ ! -s $number ]]; then
    kill "$server" 2>/dev/null || true
    cat "$LOGS/xvfb.log" >&2
    display_help "the X server does not start"
  fi
  DISPLAY=:$(cat "$number") LIBGL_ALWAYS_SOFTWARE=1 GALLIUM_DRIVER=llvmpipe "$@" || status=$?
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  return "$status"
}
