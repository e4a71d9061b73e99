#!/usr/bin/env bash
# layers.sh - who may include whom (see README.md): rl > rollout > model > kernels > base, and rl > reward > base.
# It also refuses circles of includes between headers, CUDA's and NCCL's headers outside kernels/cuda, and an include of a
# room's inside (*_internal.h, and those listed below) from elsewhere.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
sources=(--include='*.c' --include='*.h' --include='*.cu' --include='*.cuh')
forbid() { # FOLDER PATTERN: no file of the folder includes a path that matches
    if grep -rnE "^#[[:space:]]*include \"($2)" "$1" "${sources[@]}"; then
        echo "layers: $1/ may not include the above"; bad=1
    fi
}
forbid base    '(kernels|model|rollout|reward|rl|tests)/'
forbid kernels '(model|rollout|reward|rl|tests)/'
forbid model   '(kernels/(cpu|cuda)|rollout|reward|rl|tests)/'
forbid rollout '(kernels/(cpu|cuda)|reward|rl|tests)/'
forbid reward  '(kernels|model|rollout|rl|tests)/'
forbid rl      '(kernels/(cpu|cuda)|tests)/'
for room in data recipe run report; do forbid "rl/$room" 'rl/cmd/'; done
if grep -rnE '^#[[:space:]]*include <(cuda|cublas|nccl)' base kernels model rollout reward rl "${sources[@]}" | grep -v '^kernels/cuda/'; then
    echo "layers: CUDA and NCCL headers belong in kernels/cuda only"; bad=1
fi

# A header of a room's inside is included by that room and its tests alone.
insides="rl/recipe/recipe_table.h $(find base kernels model rollout reward rl -name '*_internal.h')"
for inside in $insides; do
    room=$(dirname "$inside")
    if grep -rnE "^#[[:space:]]*include \"$inside\"" base kernels model rollout reward rl "${sources[@]}" | grep -v "^$room/[^/]*:"; then
        echo "layers: $inside belongs to $room/ alone"; bad=1
    fi
done

# Circles: tsort prints a loop where files include each other, a header counted together with its source.
pairs=$(grep -rnoE '^#[[:space:]]*include "[a-z_0-9/]+\.(h|cuh)"' base kernels model rollout reward rl --include='*.h' --include='*.cuh' |
        sed -E 's/^([^:]+):[0-9]+:#[[:space:]]*include "([^"]+)"/\1 \2/')
if ! loop=$(tsort <<<"$pairs" 2>&1 >/dev/null); then
    echo "$loop"; echo "layers: these headers include each other in a circle"; bad=1
fi
exit $bad
