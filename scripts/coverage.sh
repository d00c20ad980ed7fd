#!/bin/sh
# Cargo's RUSTC_WORKSPACE_WRAPPER for the fuzz targets: compiles the project's
# own crates with the counters that libFuzzer reads. These options are stable,
# so no other compiler is needed, and dependencies are those of other builds.
compiler=$1
shift
case " $* " in
  *" --crate-name torrent_"*)
    set -- "$@" -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
      -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
      -C llvm-args=-sanitizer-coverage-pc-table \
      -C llvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$compiler" "$@"
