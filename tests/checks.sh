# shellcheck shell=bash
# checks.sh - what the scripts of this folder share: sourced at their head. It makes a folder with the tiny base and a recipe,
# good.yaml, and goes there.
#
# A check is: fails NAME CODE 'PATTERN ...' COMMAND. All patterns (~ is a space) must be in the one error line; the folder is
# listed and hashed before and after the command (less the lock file, which names the last process). says NAME TEXT: the file
# log has the text. same NAME A B.
cd "$(dirname "$0")/.." || exit 1
STROP=$(realpath "${STROP:-build/strop}")
base=$PWD/recipes/tiny/base
export OMP_NUM_THREADS=1 LC_ALL=C
work=$(mktemp -d) && trap 'cd /; rm -rf "$work"' EXIT
cp -r "$base" "$work/base" && cd "$work" || exit 1
passed=0 failed=0 skipped=0

digest() { find . -name lock -prune -o -name 'run.db-*' -prune -o -name 'log*' -prune -o \( -type f -o -type l \) -print0 | sort -z |
    while IFS= read -r -d '' f; do if [ -L "$f" ]; then echo "$f -> $(readlink "$f")"; else sha256sum "$f"; fi; done; find . -type d | sort; }
wrong() { failed=$((failed + 1)); printf 'FAILED  %s: %s\n' "$1" "$2"; sed 's/^/        /' log | tail -n 5; }
fails() { # NAME CODE PATTERNS COMMAND...
    local name=$1 code=$2 patterns=$3; shift 3
    digest >log.before
    "$@" >log.out 2>log; local got=$?
    digest >log.after
    local line; line=$(grep -aE '^strop: error: ' log | head -n 1)
    local lines; lines=$(grep -acE '^strop: error: ' log)
    if [ "$got" -ne "$code" ]; then wrong "$name" "exit code $got, wanted $code"; return; fi
    if [ "$lines" -ne 1 ]; then wrong "$name" "$lines lines of error"; return; fi
    local p; for p in $patterns; do
        case $line in *"${p//\~/ }"*) ;; *) wrong "$name" "'${p//\~/ }' is not in: $line"; return;; esac
    done
    if ! cmp -s log.before log.after; then diff log.before log.after >log; wrong "$name" 'the folder has changed'; return; fi
    passed=$((passed + 1)); printf 'ok      %-44s %s\n' "$name" "${line#strop: error: }"
}
says() { if grep -aqF -- "$2" log; then passed=$((passed + 1)); printf 'ok      %-44s\n' "$1"; else wrong "$1" "nothing says '$2'"; fi; }
same() { if [ "$2" = "$3" ]; then passed=$((passed + 1)); printf 'ok      %-44s\n' "$1"; else wrong "$1" "'$2' is not '$3'"; fi; }
skip() { skipped=$((skipped + 1)); printf 'SKIPPED %s: %s\n' "$1" "$2"; }

cat >good.yaml <<'YAML'
model_name_or_path: base
dataset_name: countdown
template: none
max_prompt_length: 64
max_completion_length: 8
prompts_per_step: 2
num_generations: 4
tokens_per_micro_batch: 256
max_sequences: 8
reward_funcs: [{name: format, mode: graded}]
num_threads: 1
max_steps: 3
save_steps: 1
save_total_limit: 3
output_dir: runs/a
YAML
with() { sed "/^${1%%:*}:/d" good.yaml; printf '%s\n' "$1"; }
train() { "$STROP" train "$@"; }
