#!/usr/bin/env bash
# ranks.sh - strop launch: ranks of one machine that leave the bits of one, how they are stopped, and how they end together.
#
#   STROP=build/strop tests/ranks.sh        last line: N passed, N failed
#
# The functions are those of checks.sh.
set -u
. "$(dirname "$0")/checks.sh"

with 'reward_funcs: [{name: length, unit: characters, target: 12}]' >r.yaml && mv r.yaml good.yaml
printf 'learning_rate: 1e-3\ngradient_shards: 4\n' >>good.yaml
launch() { "$STROP" launch -n "$@" >log.out 2>log; }
weights() { sha256sum <"$1/checkpoints/step-$(printf %06d "$2")/model.safetensors"; }
rank() { cut -d' ' -f "$(($2 + 1))" "/proc/$1/task/$1/children"; } # LAUNCHER RANK: ranks are started in order

# ---- the same bits ----
"$STROP" train good.yaml --max_steps=4 --output_dir=runs/one >log.out 2>log
straight=$(weights runs/one 4)
for n in 1 2 4; do
    launch "$n" train good.yaml --max_steps=4 --output_dir="runs/$n"
    same "$n ranks: exit code"                "$?" 0
    same "$n ranks: the weights of one"       "$(weights "runs/$n" 4)" "$straight"
done
same 'ranks say no more than one does'        "$(grep -c 'step 4/4' log)" 1
launch 4 train good.yaml --max_steps=2 --output_dir=runs/fewer
launch 2 train good.yaml --max_steps=3 --output_dir=runs/fewer
launch 1 train runs/fewer --max_steps=4
same 'continued on fewer ranks'               "$(weights runs/fewer 4)" "$straight"

# ---- stopped, killed ----
"$STROP" launch -n 2 train good.yaml --max_steps=1000 --save_steps=1 --output_dir=runs/stopped >log.out 2>log & pid=$!
until [ -e runs/stopped/checkpoints/latest ] || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
kill -TERM $pid; wait $pid
same 'SIGTERM to the launcher: exit code'     $? 143
says 'SIGTERM to the launcher: saved'         'run the same command to continue'
for signal in KILL STOP; do
    "$STROP" launch -n 2 train good.yaml --max_steps=1000 --save_steps=1 --output_dir=runs/$signal >log.out 2>log & pid=$!
    until [ -e runs/$signal/checkpoints/latest ] || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
    victim=$(rank $pid 1) start=$SECONDS
    kill -$signal "$victim"; wait $pid
    same "SIG$signal to rank 1: exit code"    $? 75
    same "SIG$signal to rank 1: in time"      "$((SECONDS - start <= 10))" 1
    says "SIG$signal to rank 1: named"        "rank 1 (process $victim on "
    same "SIG$signal to rank 1: nobody is left" "$(kill -0 "$victim" 2>&1 | grep -c 'No such process')" 1
done

# ---- what cannot be ----
rm -rf runs
fails 'three ranks'                           2 '3~ranks power~of~two' "$STROP" launch -n 3 train good.yaml
fails 'fewer shards than ranks'               2 'gradient_shards fewer~than~the~8~ranks' "$STROP" launch -n 8 train good.yaml
fails 'shards that are no power of two'       2 "--gradient_shards power~of~two" "$STROP" launch -n 2 train good.yaml --gradient_shards=6
fails 'no ranks'                              2 '--num_ranks' "$STROP" launch -n 0 train good.yaml
fails 'another command'                       2 "not~of~'eval'" "$STROP" launch -n 2 eval good.yaml
fails 'no command'                            2 'usage:~strop~launch' "$STROP" launch -n 2
fails 'a wrong key is said once'              2 "lerning_rate did~you~mean~'learning_rate'" "$STROP" launch -n 4 train good.yaml --lerning_rate=1
fails 'an unknown template'                   2 "'pbs' slurm kubernetes torchrun mpirun" "$STROP" launch --template=pbs
fails 'a rank that is no number'              2 "RANK~is~'x'" env RANK=x WORLD_SIZE=2 "$STROP" train good.yaml
RANK=1 WORLD_SIZE=2 MASTER_PORT=1 STROP_MEET_SECONDS=1 train good.yaml 2>log
same 'rank 0 cannot be reached: exit code'    $? 1
says 'rank 0 cannot be reached'               'rank 1: error: rank 1 of 2 cannot reach rank 0 on 127.0.0.1, port 1: Connection refused'
fails 'the others do not come'                1 'have~not~come 1' env RANK=0 WORLD_SIZE=2 MASTER_PORT=0 STROP_PORT=47113 STROP_MEET_SECONDS=1 "$STROP" train good.yaml
RANK=0 WORLD_SIZE=2 STROP_PORT=47113 "$STROP" train good.yaml >log.out 2>log & pid=$!
sleep 1; kill -TERM $pid; wait $pid
same 'SIGTERM while ranks are awaited: exit code' $? 143
fails 'a check for more ranks than shards'    2 'gradient_shards fewer~than~the~8~ranks' "$STROP" check good.yaml --ranks=8
for name in slurm torchrun mpirun; do
    "$STROP" launch --template=$name -n 4 train good.yaml --output_dir='a b' >script.sh 2>log
    same "template $name: is bash"            "$(bash -n script.sh 2>&1)" ''
    cp script.sh log; says "template $name: the command" ' strop train good.yaml "--output_dir=a b"'
done
"$STROP" launch --template=kubernetes -n 4 train good.yaml --system_prompt=$'Let\'s think: #1\n\nstep by step' >script.sh 2>log
if python3 -c 'import yaml' 2>/dev/null; then
    same 'template kubernetes: the command'   "$(python3 -c 'import sys, yaml
print(list(yaml.safe_load_all(sys.stdin))[1]["spec"]["template"]["spec"]["containers"][0]["args"][0])' <script.sh 2>&1)" \
        $'RANK=$JOB_COMPLETION_INDEX exec strop train good.yaml "--system_prompt=Let\'s think: #1\n\nstep by step"'
else
    same 'template kubernetes: one block'     "$(sed -n '/^        - |-$/,/^        volumeMounts/p' script.sh | grep -c '^          ')" 3
fi
rm -f script.sh
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
