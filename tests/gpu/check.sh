#!/usr/bin/env bash
# check.sh - what `make gpu-check` runs, from build/bundle: each operation against the CPU's, exactness, gradients beside
# PyTorch's, runs that are killed and taken up again, memory errors.
# Without a GPU it says what to do and fails.
set -u
cd "$(dirname "$0")" || exit 1
if ! ./strop bench exact --device=cuda --tokens=1 >/dev/null 2>&1; then
    ./strop bench exact --device=cuda --tokens=1
    echo "no GPU was used; copy $(pwd) to a machine that has one, and run check.sh there"
    exit 1
fi
bad=0
run() {
    echo "== $*"
    "$@" || bad=1
}
run ./products
run ./twins
run ./twins_attention
run ./twins_head
run ./twins_experts
run ./model_grads
run ./strop bench exact --device=cuda --tokens="${EXACT_TOKENS:-1000000}"
if python3 -c 'import safetensors, torch, transformers' 2>/dev/null; then
    grads=$(mktemp -d) || exit 1
    for device in cpu cuda; do
        run ./torch_grads $device "$grads/$device"
        run python3 torch_grads.py "$grads/$device"
    done
    rm -r "$grads"
else
    echo "python3 with torch, transformers and safetensors is not here: gradients were not compared with PyTorch's"
fi
run env DEVICE=cuda FAULTS="${FAULTS:-20}" ./kill
run ./resume.sh
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [ -x "$sanitizer" ]; then
    for tool in memcheck initcheck synccheck; do
        run "$sanitizer" --tool "$tool" --error-exitcode 1 ./model_grads 0
        run "$sanitizer" --tool "$tool" --error-exitcode 1 ./model_grads 1
        run "$sanitizer" --tool "$tool" --error-exitcode 1 ./model_grads 4
    done
    # cuBLASLt's kernels wait for each other in ways that racecheck does not know
    run env STROP_CUBLAS=0 "$sanitizer" --tool racecheck --error-exitcode 1 ./model_grads 0
    run env STROP_CUBLAS=0 "$sanitizer" --tool racecheck --error-exitcode 1 ./model_grads 1
    run env STROP_CUBLAS=0 "$sanitizer" --tool racecheck --error-exitcode 1 ./model_grads 4
else
    echo "compute-sanitizer is not here: memory errors were not looked for"
fi
exit $bad
