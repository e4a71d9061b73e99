#!/usr/bin/env bash
# ranks_cut.sh - two ranks on networks of their own, and the cable between them is pulled at random instants: nothing arrives and
# nothing is refused. Both end within ten seconds with code 75, naming the other, and the run goes on to the bits of the straight one.
#
#   CUTS=3 STROP=build/strop tests/ranks_cut.sh        last line: N passed, N failed
#
# Needs root and iproute2, for network namespaces; else nothing is done. The functions are those of checks.sh.
set -u
if [ "$(id -u)" -ne 0 ] || ! command -v ip >/dev/null || ! ip netns add strop-try-$$ 2>/dev/null; then
    echo 'skipped: network namespaces need root and ip (package iproute2)'
    exit 0
fi
ip netns del strop-try-$$
. "$(dirname "$0")/checks.sh"

id=s$(($$ % 100000)) # names of interfaces have 15 bytes at most
trap 'for i in 0 1; do ip netns del $id-$i; done 2>/dev/null; ip link del $id-br 2>/dev/null; cd /; rm -rf "$work"' EXIT
ip link add $id-br type bridge && ip link set $id-br up
for i in 0 1; do
    ip netns add $id-$i
    ip link add $id-v$i type veth peer name eth0 netns $id-$i
    ip link set $id-v$i master $id-br up
    ip -n $id-$i addr add 10.213.77.1$i/24 dev eth0
    ip -n $id-$i link set eth0 up
    ip -n $id-$i link set lo up
done

with 'reward_funcs: [{name: length, unit: characters, target: 12}]' >r.yaml && mv r.yaml good.yaml
printf 'learning_rate: 1e-3\ngradient_shards: 2\nmax_completion_length: 32\n' >more && sed '/^max_completion_length/d' good.yaml >r.yaml && cat r.yaml more >good.yaml
weights() { sha256sum <"$1/checkpoints/step-000040/model.safetensors"; }
start_rank() { # RANK FOLDER
    RANK=$1 WORLD_SIZE=2 LOCAL_WORLD_SIZE=1 MASTER_ADDR=10.213.77.10 MASTER_PORT=29477 ip netns exec $id-"$1" \
        "$STROP" train good.yaml --max_steps=40 --output_dir="$2" >log.out-"$1" 2>log-"$1"
    echo "$? $SECONDS" >ended-"$1"
}
train good.yaml --max_steps=40 --output_dir=runs/straight >log.out 2>log
straight=$(weights runs/straight)
for ((cut = 1; cut <= ${CUTS:-3}; cut++)); do
    run=runs/$cut
    start_rank 0 $run & start_rank 1 $run &
    until [ -e $run/checkpoints/latest ] || ! jobs -r | grep -q .; do sleep 0.05; done
    sleep "0.$((RANDOM % 10))"
    ip link set $id-v1 down
    at=$SECONDS
    wait
    for r in 0 1; do
        cp log-$r log
        same "cut $cut: rank $r ends with 75, in time" "$(awk -v at=$at '{ print $1, $2 - at <= 10 }' ended-$r)" '75 1'
        says "cut $cut: rank $r names the other"       "rank $((1 - r)) (process "
    done
    ip link set $id-v1 up
    train good.yaml --max_steps=40 --output_dir=$run >log.out 2>log
    same "cut $cut: the run goes on to its bits"       "$(weights $run)" "$straight"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
