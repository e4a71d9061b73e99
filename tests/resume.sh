#!/usr/bin/env bash
# resume.sh - what can happen to a run's folder between two starts, how a run is stopped, and from where it continues.
#
#   STROP=build/strop tests/resume.sh        last line: N passed, N failed
#
# The functions are those of checks.sh.
set -u
. "$(dirname "$0")/checks.sh"

fresh() { rm -rf runs; mkdir runs; cp -a kept runs/a; }
go() { "$STROP" train "$@" >log.out 2>log; }
sql() { python3 -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); print(*[r[0] for r in d.execute(sys.argv[2])]); d.commit()' "$@"; }
steps_of() { sed -E 's/^.*"step": ([0-9]+).*/\1/' "$1" | tr '\n' ' '; }
weights() { sha256sum <"$1/checkpoints/step-$(printf %06d "$2")/model.safetensors"; }

with 'reward_funcs: [{name: length, unit: characters, target: 12}]' >r.yaml && mv r.yaml good.yaml
printf 'learning_rate: 1e-3\n' >>good.yaml
go good.yaml --max_steps=4 --save_total_limit=9; mv runs/a kept
go good.yaml --max_steps=6; straight=$(weights runs/a 6)
same 'the run learns' "$(weights runs/a 4 | grep -c "$straight")" 0

# ---- its own folder, from anywhere and after a copy ----
fresh; (cd / && "$STROP" train "$work/runs/a" --max_steps=5) >log.out 2>log
same 'a folder goes on from elsewhere'        $? 0
says 'a folder goes on from its checkpoint'   '/runs/a/checkpoints/step-000004 (step 4)'
cp -a runs/a copy; go copy/recipe.yaml --max_steps=6
same 'a copy goes on where it is'             "$(weights copy 6)" "$straight"
same 'and not where it was'                   "$(ls -d runs/a/checkpoints/step-000006 2>&1 | grep -c cannot)" 1
rm -rf copy; mv base moved; go runs/a --max_steps=6
same 'without its base'                       "$(weights runs/a 6)" "$straight"
mv moved base

# ---- another model, another method, other keys ----
fresh; cp -r base other; printf x >>other/config.json
fails 'another model'                         2 'model_name_or_path other output_dir' train runs/a --max_steps=6 --model_name_or_path=other
fails 'another method'                        2 'method grpo~->~sft output_dir' train runs/a --max_steps=6 --method=sft
rm -r other; cp -r base other; go runs/a --max_steps=6 --model_name_or_path=other
same 'the same model elsewhere'               "$(weights runs/a 6)" "$straight"
fresh; go runs/a --max_steps=6 --learning_rate=0.01 --save_steps=2
says 'a changed key is named'                 'used from step 5 on: learning_rate 0.001 -> 0.01'
same 'and is an event'                        "$(sql runs/a/run.db "SELECT kind || ': ' || text FROM events WHERE kind = 'recipe'")" 'recipe: learning_rate 0.001 -> 0.01'
same 'and in the heading of the report'       "$(grep -c 'Changed after step 4: learning_rate 0.001' runs/a/report.html)" 1
fresh; digest >log.1; go runs/a --max_steps=4 --dataset_name=arithmetic; code=$?; digest >log.2
same 'a finished run with other data: exit code' "$code" 0
same 'a finished run with other data: untouched' "$(diff log.1 log.2)" ''
says 'a finished run with other data: said'   'not used: dataset_name countdown -> arithmetic'

# ---- the base changes ----
fresh; sed -i 's/"model_max_length"[^,]*,//; s/}$/ }/' base/tokenizer_config.json; printf ' ' >>base/tokenizer.json; go runs/a --max_steps=6
says 'a base that has changed'                'base has changed since the run began'
same 'its files are not taken'                "$(sha256sum <runs/a/checkpoints/step-000006/tokenizer.json)" "$(sha256sum <kept/checkpoints/step-000004/tokenizer.json)"
same 'nor are other weights'                  "$(weights runs/a 6)" "$straight"
rm -r base && cp -r "$base" base

# ---- run.db, metrics.jsonl and checkpoints ----
fresh; rm runs/a/run.db*; go runs/a --max_steps=6
same 'run.db is lost: exit code'              $? 0
says 'run.db is lost: said'                   'run.db lacks 4 of the 4 steps'
same 'run.db is lost: no line is'             "$(steps_of runs/a/metrics.jsonl)" '1 2 3 4 5 6 '
same 'run.db is lost: the same weights'       "$(weights runs/a 6)" "$straight"
go runs/a --max_steps=7; same 'and said once' "$(grep -c lacks log)" 0
fresh; sql runs/a/run.db 'DELETE FROM steps WHERE step > 2'; sql runs/a/run.db 'DELETE FROM metrics WHERE step > 2'; go runs/a --max_steps=6
says 'run.db is an older copy: said'          'run.db lacks 2 of the 4 steps'
same 'run.db is an older copy: no line is lost' "$(steps_of runs/a/metrics.jsonl)" '1 2 3 4 5 6 '
fresh; rm -r runs/a/checkpoints
fails 'checkpoints are removed'               1 'runs/a 4~steps no~checkpoint output_dir' train runs/a/recipe.yaml --max_steps=6
ln -s /nowhere runs/a/checkpoints
fails 'checkpoints are on a disk that is away' 1 'runs/a 4~steps mounted output_dir' train runs/a/recipe.yaml --max_steps=6
rm -rf runs; mkdir -p runs/a; ln -s /nowhere runs/a/checkpoints
fails 'a new run that could not save'         1 'runs/a/checkpoints mounted' train good.yaml
fresh; rm -r runs/a/checkpoints/step-000004 runs/a/checkpoints/step-000003; go runs/a --max_steps=6
says 'newest checkpoints are removed'         'steps 3 to 4 of run.db come after the checkpoint'
same 'and computed again'                     "$(weights runs/a 6)" "$straight"

# ---- stopped from outside ----
# nohup has SIGHUP ignored, and a shell cannot undo that
for signal in INT:130 TERM:143 HUP:129 XCPU:152; do
    rm -rf runs log; env --default-signal=HUP "$STROP" train good.yaml --max_steps=100000 --save_steps=0 >log.out 2>log & pid=$!
    until grep -qs '^step 2/' log; do sleep 0.02; done
    kill -"${signal%:*}" $pid; wait $pid
    same "SIG${signal%:*}: exit code"         $? "${signal#*:}"
    says "SIG${signal%:*}: acknowledged"      'then saving; Ctrl-C again'
    saved=$(sed -nE 's/^strop: saved at step ([0-9]+) of.*/\1/p' log)
    same "SIG${signal%:*}: saved"             "$(readlink runs/a/checkpoints/latest)" "step-$(printf %06d "$saved")"
done
same 'strop runs says stopped'                "$("$STROP" runs runs | grep -c ' stopped ')" 1
rm -rf runs log; env --default-signal=HUP "$STROP" train good.yaml --max_steps=100000 --save_steps=0 >log.out 2>log & pid=$!
until grep -qs '^step 2/' log; do sleep 0.02; done
kill -USR1 $pid; until [ -e runs/a/checkpoints/latest ]; do sleep 0.02; done
kill -TERM $pid; wait $pid; same 'SIGUSR1: saved, and going on' $? 143
rm -rf runs; "$STROP" train good.yaml --max_steps=6 2>&1 | head -n 1 >log.out
same 'a log reader that goes away'            "$(weights runs/a 6)" "$straight"
rm -rf runs; "$STROP" train good.yaml --max_steps=6 >&- 2>&- <&-
same 'no descriptors: exit code'              $? 0
same 'no descriptors: nothing in the lock'    "$(tr -d 0-9 <runs/a/lock)" ''
rm -rf runs; "$STROP" train good.yaml --max_steps=6 >/dev/full 2>log
same 'standard output is full: exit code'     $? 0

[ "$skipped" -eq 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
