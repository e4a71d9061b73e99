#!/usr/bin/env bash
# tidy.sh FLAG... -- SOURCE... - clang-tidy, without its counts of the warnings that it leaves out ("12 warnings generated.")
set -u -o pipefail
flags=()
while [ "$1" != -- ]; do flags+=("$1"); shift; done
shift
clang-tidy-14 --quiet "$@" -- "${flags[@]}" 2>&1 | { grep -vE '^[0-9]+ warnings? generated' || true; }
