#!/usr/bin/env bash
# tests/bench/run.sh FOLDER - the speed of strop next to its peers, in one run; FOLDER has the measuring programs (make bench).
#
#   PEER_PYTHON   a Python with torch, transformers, gguf, llama-cpp-python (python3)
#   BENCH_MODEL   a GGUF file of a Qwen 0.5B, expanded to F32 for both sides; none: no decoding
#   CLOCK         wall, or cpu on a machine that others use: processor time, for operations on one thread
#   THREADS       2; ROUNDS: turns of each pair, 10
#
# A peer that is not installed is named in the table with how to get it.
#
# SPDX-License-Identifier: Apache-2.0
set -eu
folder=$1
here=$(dirname "$0")
python=${PEER_PYTHON:-python3} model=${BENCH_MODEL:-} clock=${CLOCK:-wall} threads=${THREADS:-2} rounds=${ROUNDS:-10}
table=$folder/table.txt
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
: >"$table"

has() { "$python" -c "import $1" 2>/dev/null; }

line() { printf '%-50s %14s %14s %7s %7s  %s\n' "$@" >>"$table"; }

absent() { # WHAT, GOAL, HOW
  line "$1" - absent - - "$2"
  printf '    %s\n' "$3" >>"$table"
}

# WHAT, UNIT, COUNT OF A TURN, GOAL, then duel.sh's two commands
duel() {
  local what=$1 unit=$2 count=$3 goal=$4 result
  shift 4
  echo "measuring: $what" >&2
  if ! result=$("$here/duel.sh" "$rounds" env GOMP_SPINCOUNT=1000 "$@"); then # as rl/cmd/main.c sets it
    absent "$what" "$goal" "a program failed, see above"
    return
  fi
  # shellcheck disable=SC2046
  line "$what" $(echo "$result" | awk -v n="$count" -v unit="$unit" \
    '{ printf "%.1f~%s %.1f~%s %.2f %.2f", n / $1, unit, n / $3, unit, $3 / $1, $4 / $2 }') "$goal"
}

train() { # THREADS NAME FOLDER SEQUENCES PROMPT COMPLETION
  local threads=$1 what="$1 threads: training step, $2, PyTorch eager"
  shift
  if has torch && has transformers; then
    duel "$what" tok/s $(($3 * ($4 + $5))) ">= 1.0" "$folder/step" "$2" "$threads" "$3" "$4" "$5" -- \
      "$python" "$here/peers/torch_train.py" "$2" "$threads" "$3" "$4" "$5"
  else
    absent "$what" ">= 1.0" "get it: $python -m pip install torch transformers"
  fi
}

decode() { # THREADS BATCH GOAL FILE TYPE
  local threads=$1 what="$1 threads: decoding, 0.5B $5, batch $2, llama.cpp" steps=4
  shift
  if [ -z "$model" ]; then
    absent "$what" "$2" "get the weights: BENCH_MODEL=FILE.gguf make bench"
  elif has llama_cpp && has gguf; then
    duel "$what" tok/s $(($1 * steps)) "$2" "$folder/decode" "$3" "$threads" "$1" $steps -- \
      "$python" "$here/peers/llama_decode.py" "$3" "$threads" "$1" $steps
  else
    absent "$what" "$2" "get it: $python -m pip install gguf llama-cpp-python"
  fi
}

expand() { # TYPE: the weights as F32 or F16, written once
  local file=$folder/weights-$1.gguf
  if [ -n "$model" ] && has gguf && { [ ! -f "$file" ] || [ "$model" -nt "$file" ]; }; then
    "$python" "$here/peers/write_gguf.py" "$model" "$file.part" "$1" >&2 && mv "$file.part" "$file"
  fi
  echo "$file"
}

echo "load of the machine: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)"
GOMP_SPINCOUNT=1000 "$folder/kernels" "$clock" 1 "$threads" | tee "$folder/kernels.txt"
for t in 1 "$threads"; do
  # shellcheck disable=SC2046
  set -- $(awk -v t="$t" '$1 == t && $NF ~ /^[0-9.]+$/ && / x W\^T | dy W | dy\^T x / { r = $NF; sum += log(r); n++;
    if (n == 1 || r < least) least = r } END { if (n) printf "%.2f %.2f %d", least, exp(sum / n), n }' "$folder/kernels.txt")
  if [ $# -eq 3 ]; then
    line "$t threads: fp32 GEMM, $3 shapes, OpenBLAS: least" "" "" "$1" "" ">= 0.8"
    line "                                          mean" "" "" "$2" "" ""
  else
    absent "$t threads: fp32 GEMM, OpenBLAS" ">= 0.8" "get it: apt-get install libopenblas0-pthread"
  fi
done
for t in 1 "$threads"; do
  train "$t" tiny "$here/../../recipes/tiny/base" 16 32 96
  train "$t" 30M "$here/peers/30m" 8 64 192
  for type in f32 f16; do
    file=$(expand $type)
    decode "$t" 1 ">= 1.0" "$file" $type
    decode "$t" 16 ">= 1.5" "$file" $type
  done
done
"$folder/../strop" bench exact --tokens=1000000 | tail -n 1
echo
printf '%-50s %14s %14s %7s %7s  %s\n' "what, peer" ours peer ratio "by CPU" goal
sed "s/~/ /g" "$table"
echo "ratio: their best time to ours by the clock; by CPU: processor time. On a busy machine trust the latter, for 1 thread: a"
echo "thread that waits for a descheduled one spins, and that counts."
echo "load of the machine at the end: $(cut -d' ' -f1-3 /proc/loadavg)"
