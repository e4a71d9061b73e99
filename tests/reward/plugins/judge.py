# judge.py [START] - a reward program that does what the completion says: the faults that the host must survive.
#
# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
import time

start = sys.argv[1] if len(sys.argv) > 1 else ""


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def scores(seq, *results):
    say({"type": "scores", "seq": seq, "results": list(results)})


def act(request):
    item, seq = request["items"][0], request["seq"]
    word, _, rest = item["completion"].partition(" ")
    answer = {"id": item["id"], "score": 0.5, "reason": "half", "extracted": rest}
    if word == "score":
        answer["score"] = json.loads(rest)
    elif word == "pid":
        answer["score"] = os.getpid()
    elif word == "spawn":
        answer["score"] = subprocess.Popen(["sleep", "1000"]).pid
    elif word == "truth":
        answer["extracted"] = json.dumps([item["ground_truth"], item["prompt"], item["finish"], item["n_tokens"]])
    elif word == "die":
        sys.stderr.write("first line\nno more\n")
        os._exit(3)
    elif word == "segfault":
        os.kill(os.getpid(), 11)
    elif word == "die_once":
        if not os.path.exists(rest):
            open(rest, "w").close()
            os._exit(4)
    elif word == "hang":
        time.sleep(600)
    elif word == "garbage":
        sys.stdout.write("\x00\xff hello {\n")
    elif word == "flood_out":
        while True:
            sys.stdout.write("x" * 65536)
    elif word == "flood_log":
        while True:
            say({"type": "log", "level": "info"})
    elif word == "flood_err":
        sys.stderr.write("noise\n" * 500000)
    elif word == "id":
        answer["id"] = "0"
    elif word == "seq":
        seq -= 1
    elif word == "none":
        return scores(seq)
    elif word == "two":
        return scores(seq, answer, answer)
    elif word == "twice":
        scores(seq, answer)
    elif word == "no_score":
        del answer["score"]
    elif word == "error":
        answer = {"id": item["id"], "error": "judge 503", "retryable": rest == "retry"}
    elif word == "close_out":
        os.close(1)
        time.sleep(600)
    elif word == "close_in":
        os.close(0)
        scores(seq, answer)
        time.sleep(600)
    scores(seq, answer)


if start == "dies":
    sys.exit("cannot import name x")
if start == "hangs":
    time.sleep(600)
hello = json.loads(sys.stdin.readline())
assert hello["type"] == "hello" and hello["protocol"] == 1 and isinstance(hello["config"], dict)
if start == "slow":
    time.sleep(0.5)
say({"type": "ready", "protocol": 2 if start == "newer" else 1, "wants_groups": start == "groups"})
for line in sys.stdin:
    act(json.loads(line))
