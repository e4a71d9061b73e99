#!/usr/bin/env bash
# run.sh TEST... - runs test programs one after the other; the last line is "N passed, N failed".
# A test is a cmocka program, or anything whose last line is "N passed, N failed" itself. A program that dies without a
# verdict counts as one failure. Only failures print their output.
set -u
passed=0 failed=0
export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}" # threads that wait let others run
log=$(mktemp) && trap 'rm -f "$log"' EXIT
for test in "$@"; do
    start=$(date +%s%N)
    "$test" >"$log" 2>&1
    status=$?
    good=$(sed -nE 's/^\[  PASSED  \] ([0-9]+) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    bad=$(sed -nE 's/^\[  FAILED  \] [a-z_0-9 ]*: ?([0-9]+) test.*/\1/p; s/^\[  FAILED  \] ([0-9]+) test.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    own=$(tail -n 1 "$log" | tr -d '\0' | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
    [ -n "$own" ] && good=${own% *} bad=${own#* }
    [ "$status" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    [ "$status" -eq 0 ] && [ "$good" -eq 0 ] && bad=1 # a program without a test
    passed=$((passed + good)) failed=$((failed + bad))
    printf '%-48s %4d passed  %6d ms\n' "$test" "$good" $((($(date +%s%N) - start) / 1000000))
    grep '^skipped: ' "$log"
    if [ "$bad" -ne 0 ]; then
        printf -- '---- %s: exit %d, %d failed\n' "$test" "$status" "$bad"
        tail -n 60 "$log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
