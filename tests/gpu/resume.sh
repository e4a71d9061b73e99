#!/usr/bin/env bash
# resume.sh - two runs of one recipe and seed end in the same bits, and so does a third that is killed part way and taken up again.
#
#   DEVICE=cuda STEPS=50 SEED=42 ./resume.sh      from build/bundle; `make gpu-check` puts it there
#
# Compared are the weights and the state of the last checkpoint, and what metrics.jsonl and run.db hold: every sampled token and
# its log-probability (run_text.c). The hashes are SHA-256.
set -u -o pipefail
cd "$(dirname "$0")" || exit 1
device=${DEVICE:-cuda} steps=${STEPS:-50} seed=${SEED:-42}
folder=$(mktemp -d) || exit 1

# In a subshell: the program takes its place.
train() {
    exec ./strop train recipes/tiny/r1-zero.yaml --device="$device" --seed="$seed" --max_steps="$steps" --save_steps=10 \
        --output_dir="$folder/$1" >>"$folder/$1.log" 2>&1
}

steps_of() {
    if [ -e "$folder/$1/metrics.jsonl" ]; then wc -l <"$folder/$1/metrics.jsonl"; else echo 0; fi
}

# Killed between two checkpoints, so that there is work to do again.
train_killed() {
    train "$1" &
    while [ "$(steps_of "$1")" -lt $((steps / 2)) ]; do
        if ! kill -0 $! 2>/dev/null; then
            echo "$1 ended before it could be killed"
            return 1
        fi
        sleep 0.02
    done
    kill -KILL $!
    wait $! 2>/dev/null
    echo "killed after step $(steps_of "$1") of $steps"
}

hashes() {
    (cd "$folder/$1/checkpoints/latest/" && sha256sum ./*.safetensors state/*) &&
        ./run_text "$folder/$1" | sha256sum | sed 's/-$/metrics.jsonl and run.db/'
}

failed() {
    echo "$1; see $folder"
    tail -n 5 "$folder"/*.log
    echo "0 passed, 1 failed"
    exit 1
}

(train first) || failed "the first run failed"
(train second) || failed "the second run failed"
train_killed third || failed "the third run was not killed"
(train third) || failed "the third run could not be taken up again"
hashes first >"$folder/first.hashes" || failed "the first run left no whole checkpoint"
cat "$folder/first.hashes"
for run in second third; do
    hashes $run >"$folder/$run.hashes" || failed "the $run run left no whole checkpoint"
    diff "$folder/first.hashes" "$folder/$run.hashes" || failed "the $run run differs from the first"
    echo "$run: the same"
done
rm -r "$folder"
echo "3 passed, 0 failed"
