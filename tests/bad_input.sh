#!/usr/bin/env bash
# bad_input.sh - mistakes that a person can make: each must give one line that says what, where and what to do, and exit
# code 1 or 2, and must write and lose nothing.
#
#   STROP=build/strop tests/bad_input.sh        last line: N passed, N failed (and how many were skipped; each is named)
#
# The functions are those of checks.sh.
set -u
. "$(dirname "$0")/checks.sh"

# ---- the recipe and the command line ----
with 'lerning_rate: 1e-6' >r.yaml;            fails 'unknown key'            2 'r.yaml:16:1 lerning_rate learning_rate' train r.yaml
fails 'unknown key on the command line'       2 '--lerning_rate learning_rate' train good.yaml --lerning_rate=1
with 'num_generations: 0' >r.yaml;            fails 'value out of range'     2 'r.yaml:15:18 num_generations 1' train r.yaml
with 'temperature: hot' >r.yaml;              fails 'value of another type'  2 'r.yaml:16:14 temperature number' train r.yaml
printf 'loss_type: dapo\n  x: [1\n' >r.yaml;  fails 'recipe is not YAML'     2 'r.yaml:' train r.yaml
fails 'no such recipe'                        1 'absent.yaml' train absent.yaml
fails 'unknown command'                       2 'trian strop~train' "$STROP" trian good.yaml
with 'reward_funcs: [formt]' >r.yaml;         fails 'unknown reward'         2 'formt format' train r.yaml
with 'reward_funcs: ["http:url=localhost:5000/score"]' >r.yaml
fails 'reward server without a scheme'        2 'localhost:5000/score http://HOST:PORT/PATH' train r.yaml
with 'reward_funcs: ["http:url=http://h/,token_env=NO_SUCH_TOKEN"]' >r.yaml
fails 'reward token that is not set'          2 'NO_SUCH_TOKEN token_env' train r.yaml
with 'report_to: [wandb]' >r.yaml;            fails 'report_to what is not written' 2 'r.yaml:16:12 wandb tensorboard' train r.yaml

# ---- models ----
with 'model_name_or_path: nowhere' >r.yaml;   fails 'no such model'          1 'nowhere no~such~model' train r.yaml
broken() { rm -rf broken; cp -r base broken; with 'model_name_or_path: broken' >r.yaml; }
broken; truncate -s 1000000 broken/model.safetensors
fails 'truncated safetensors'                 1 'broken/model.safetensors' train r.yaml
broken; truncate -s 5 broken/model.safetensors
fails 'safetensors of five bytes'             1 'broken/model.safetensors' train r.yaml
broken; rm broken/config.json
fails 'model without config.json'             1 'broken/config.json' train r.yaml
broken; sed -i 's/"merges": *\[/"mergers": [/' broken/tokenizer.json
fails 'tokenizer without merges'              1 'broken/tokenizer.json merges' train r.yaml
broken; rm broken/tokenizer.json
fails 'model without a tokenizer'             1 'broken tokenizer.json' train r.yaml

# ---- mixtures of experts ----
"$STROP" convert base mixture --upcycle=experts=4,top_k=2 >log.out 2>log
mixture() { rm -rf broken; cp -r mixture broken; with 'model_name_or_path: broken' >r.yaml; sed -i "$1" "broken/$2"; }
mixture 's/"num_experts_per_tok": 2/"num_experts_per_tok": 5/' config.json
fails 'more experts per token than there are' 1 'broken/config.json num_experts_per_tok 4' train r.yaml
mixture 's/"moe_intermediate_size": [0-9]*/"moe_intermediate_size": 24/' config.json
fails 'experts of a width that is not taken'  1 'broken/config.json moe_intermediate_size 16' train r.yaml
mixture 's/layers\.1\.mlp\.experts\.3\.up_proj/layers.1.mlp.experts.9.up_proj/' model.safetensors
fails "a missing expert's tensor"             1 'broken/model.safetensors layers.1.mlp.experts.3.up_proj' train r.yaml
fails 'upcycling: more chosen than there are' 2 '--upcycle top_k experts' "$STROP" convert base x --upcycle=experts=2,top_k=3
fails 'upcycling: an unknown word'            2 '--upcycle width=3 top_k=N' "$STROP" convert base x --upcycle=experts=2,top_k=1,width=3
fails 'upcycling a mixture'                   2 '--upcycle qwen2_moe qwen3' "$STROP" convert mixture x --upcycle=experts=2,top_k=1
fails 'a plan for an unknown GPU'             2 '--gpu abacus h200' "$STROP" check mixture --gpu=abacus
printf '{"model_type": "qwen3_moe"}' >part.json
fails 'a plan of half a config'               1 'part.json num_hidden_layers' "$STROP" check part.json

# A GGUF file of two F32 tensors of 8 numbers; the second at $1, with $2 numbers.
gguf() {
    python_free() { printf '%b' "$1"; }
    u64() { local v=$1 i; for i in 1 2 3 4 5 6 7 8; do printf '\\x%02x' $((v & 255)); v=$((v >> 8)); done; }
    u32() { local v=$1 i; for i in 1 2 3 4; do printf '\\x%02x' $((v & 255)); v=$((v >> 8)); done; }
    text() { printf '%s%s' "$(u64 ${#1})" "$1"; }
    tensor() { printf '%s%s%s%s%s' "$(text "$1")" "$(u32 1)" "$(u64 "$2")" "$(u32 0)" "$(u64 "$3")"; }
    python_free "GGUF$(u32 3)$(u64 2)$(u64 1)$(text general.architecture)$(u32 8)$(text qwen2)$(tensor a 8 0)$(tensor b "$2" "$1")"
    head -c 256 /dev/zero
}
gguf 0 8 >overlap.gguf; with 'model_name_or_path: overlap.gguf' >r.yaml
fails 'GGUF with overlapping tensors'         1 "overlap.gguf: 'b' follow" train r.yaml
gguf $((1 << 40)) 8 >beyond.gguf; with 'model_name_or_path: beyond.gguf' >r.yaml
fails 'GGUF with an offset beyond the file'   1 "beyond.gguf: 'b' follow" train r.yaml
gguf 32 $((1 << 62)) >overflow.gguf; with 'model_name_or_path: overflow.gguf' >r.yaml
fails 'GGUF with sizes that overflow'         1 "overflow.gguf: 'b' shape" train r.yaml

# ---- memory ----
fails 'does not fit: train'                   1 'good.yaml does~not~fit GiB changes' train good.yaml --kv_pages=1000000000
says 'does not fit: the table'                'key cache'
says 'does not fit: what would help'          '--kv_pages='
fails 'does not fit: check, without a GPU'    1 'good.yaml does~not~fit~on~cuda GiB' "$STROP" check good.yaml --device=cuda --memory=0.1 --kv_pages=10000
fails 'memory that is no number'              2 '--memory number' "$STROP" check good.yaml --memory=much
fails 'memory below 0'                        2 '--memory GiB' "$STROP" check good.yaml --memory=-1

# ---- data ----
for i in $(seq 40); do echo '{"prompt": "What is '"$i"' and '"$i"'?", "answer": "x"}'; done >data.jsonl
with 'dataset_name: data.jsonl' >data.yaml
sed '17s/.*/{"prompt": "unfinished/' data.jsonl >bad.jsonl; with 'dataset_name: bad.jsonl' >r.yaml
fails 'line 17 is not JSON'                   1 'bad.jsonl:17' train r.yaml
sed '17s/prompt/question/' data.jsonl >bad.jsonl
fails 'line 17 without a prompt'              1 'bad.jsonl:17 prompt prompt_field' train r.yaml
with 'dataset_name: nowhere.jsonl' >r.yaml
fails 'no such data set'                      2 'nowhere.jsonl' train r.yaml
: >bad.jsonl; with 'dataset_name: bad.jsonl' >r.yaml
fails 'empty data set'                        1 'bad.jsonl' train r.yaml
sed '17s/What/'"$(printf 'long %.0s' $(seq 200))"'/' data.jsonl >bad.jsonl
fails 'prompt longer than the limit'          1 'bad.jsonl:17 max_prompt_length 64 long_prompts' train r.yaml --num_train_epochs=1 --max_steps=0

# ---- folders ----
train good.yaml >log.out 2>log || wrong 'a good run' 'it failed'
fails 'a used folder, and resume none'        2 'runs/a output_dir' train good.yaml --resume_from_checkpoint=none
fails 'no such checkpoint'                    2 'resume_from_checkpoint runs/none' train good.yaml --resume_from_checkpoint=runs/none
: >file; fails 'output_dir is a file'                  2 'file' train good.yaml --output_dir=file

"$STROP" train good.yaml --output_dir=runs/b --max_steps=100000 >log.b 2>&1 & other=$!
for _ in $(seq 200); do grep -qsa "^step 2/" log.b && break; sleep 0.1; done
kill -STOP $other
fails 'two runs on one output_dir'            1 "runs/b $other output_dir" train good.yaml --output_dir=runs/b
kill -KILL $other; kill -CONT $other 2>/dev/null; wait $other 2>/dev/null

# ---- checkpoints ----
flip() { # FILE: the lowest bit of a byte in its middle
    local at=$(($(stat -c %s "$1") / 2)) byte
    byte=$(od -An -tu1 -j "$at" -N 1 "$1"); printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}
flip runs/a/checkpoints/step-000003/model.safetensors
before=$(sha256sum <runs/a/checkpoints/step-000002/model.safetensors)
train good.yaml --max_steps=4 >log.out 2>log; same 'a flipped bit: goes on from the one before' $? 0
says 'a flipped bit: says so'                 'checkpoint step-000003 is passed over: runs/a/checkpoints/step-000003/model.safetensors'
says 'a flipped bit: says where it goes on'   'resuming from runs/a/checkpoints/step-000002'
same 'a flipped bit: the one before is as it was' "$before" "$(sha256sum <runs/a/checkpoints/step-000002/model.safetensors)"
for f in runs/a/checkpoints/step-*/state/optimizer.bin; do flip "$f"; done
fails 'a flipped bit in every checkpoint'     1 'runs/a/checkpoints none whole output_dir' train good.yaml --max_steps=5
fails 'a flipped bit in the one that is named' 1 'step-000004/state/optimizer.bin damaged' train good.yaml --max_steps=5 --resume_from_checkpoint=runs/a/checkpoints/step-000004

# ---- a full disk during a checkpoint ----
full_disk() { # folder `disk` holds 24 MiB: one checkpoint of 12.6 MB, not two
    train good.yaml --output_dir=disk/run --max_steps=1 >log.out 2>log; same 'full disk: the first checkpoint fits' $? 0
    local first; first=$(sha256sum <disk/run/checkpoints/step-000001/model.safetensors)
    fails 'full disk: the last checkpoint'    1 'disk/run/checkpoints takes MiB free' train_and_restore
    same 'full disk: the one before is as it was' "$first" "$(sha256sum <disk/run/checkpoints/step-000001/model.safetensors)"
    train good.yaml --output_dir=disk/run --max_steps=3 >log.out 2>log
    says 'full disk: said before the first step' 'the run could not save'
}
# run.db and metrics.jsonl grow before the checkpoint fails, and the same command rewinds them: not a loss
train_and_restore() {
    cp disk/run/run.db disk/run/metrics.jsonl disk/run/recipe.yaml .; train good.yaml --output_dir=disk/run --max_steps=2; local code=$?
    cp run.db metrics.jsonl recipe.yaml disk/run/; rm -f run.db metrics.jsonl recipe.yaml disk/run/run.db-*; return $code
}
# The limit on a file's size fails in the middle of a file, where the question for free space cannot foresee it.
limited() { (trap '' XFSZ; ulimit -f 6000; exec "$STROP" train "$@"); }
rm -rf runs/a && train good.yaml --max_steps=2 >log.out 2>log
limited good.yaml --max_steps=5 >log.out 2>log; same 'a write that fails: exit code' $? 1
says 'a write that fails: the run goes on and says so' 'no checkpoint at step 3: cannot write'
says 'a write that fails: names the file'     'optimizer.bin'
same 'a write that fails: what was there stays' "$(ls runs/a/checkpoints | tr '\n' ' ')" 'files latest step-000001 step-000002 '
train good.yaml --max_steps=5 >log.out 2>log; same 'a write that fails: and it can go on' $? 0
says 'a write that fails: from where it was'  'resuming from runs/a/checkpoints/step-000002'

# ---- an error on the way ----
sed '30s/answer/reply/; s/"prompt"/"nums": [1, 2], "target": 3, "prompt"/; 30s/nums/numbers/' data.jsonl >bad.jsonl
with 'dataset_name: bad.jsonl' | sed 's/^reward_funcs.*/reward_funcs: [countdown]/' >r.yaml
train r.yaml --output_dir=runs/c --shuffle=false --max_steps=20 --save_steps=0 --on_reward_error=abort >log.out 2>log
same 'a reward that aborts: exit code'        $? 1
says 'a reward that aborts: saves what is done' 'saved at step 14; run the same command to continue'

mkdir disk
if mount -t tmpfs -o size=24m tmpfs disk 2>/dev/null; then
    full_disk
    umount disk
else
    skip 'full disk during a checkpoint' 'a small tmpfs cannot be mounted by this user'
fi

[ "$skipped" -eq 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
