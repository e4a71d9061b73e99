#!/usr/bin/env python3
# strop_reward.py FILE.py[:FUNCTION] - serves a reward function to strop's `command` reward. Standard library only.
#
#   strop score --reward "command:run='python3 reward/python/strop_reward.py my.py:my_reward'" completions.jsonl
#
# The function is one of these, unchanged, and told apart by the names of its parameters (or by --form):
#   trl       f(prompts, completions, **columns) -> list of float or None, also async
#   verl      f(data_source, solution_str, ground_truth, extra_info=None, **kwargs) -> float, or a dict with "score"
#   openrlhf  f(queries, prompts, labels, **kwargs) -> list or tensor, or a dict with "rewards"
# Without FUNCTION: compute_score, reward_func, or the only function of the file that has one of these forms. It may be a
# functools.partial, an object with __call__, or a method, if it is named.
#
# What it is given. trl: every column of the row but prompt and completion, as lists; where the row's prompt is a list of
# messages, so are prompt and completion. verl: ground_truth and data_source of the row (see reward/dialog.h), extra_info of
# the row, or the whole row. openrlhf: labels are the ground truth. Lists have one element: strop judges item by item.
# An exception of the function is an error of that item. What it prints goes to stderr.
#
# SPDX-License-Identifier: Apache-2.0
import argparse
import asyncio
import functools
import importlib.util
import inspect
import json
import os
import sys
import traceback

FORMS = {"trl": {"completions"}, "verl": {"solution_str", "ground_truth"}, "openrlhf": {"queries"}}
USUAL = ("compute_score", "reward_func")
TRUTHS = "ground_truth, reward_model.ground_truth, answer, solution or label"  # reward/dialog.c


def plain(value):
    """Numbers and lists of any library (tensors, arrays) as Python's own."""
    for name in ("tolist", "item"):
        if hasattr(value, name):
            return getattr(value, name)()
    return value


def first(value, what):
    """The one element of what was asked for one item; a bare number stands for itself."""
    value = plain(value)
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != 1:
        raise ValueError(f"{what} gave {len(value)} scores for 1 completion")
    return plain(value[0])


def parameters(function):
    """Names that it has, names that it must be given, and whether it takes any (**kwargs)."""
    all_of_it = inspect.signature(function).parameters.values()
    named = [p for p in all_of_it if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = {p.name for p in named if p.default is p.empty}
    return {p.name for p in named}, needed, any(p.kind == p.VAR_KEYWORD for p in all_of_it)


def form_of(function):
    try:
        names = parameters(function)[0]
    except (TypeError, ValueError):
        return None
    return next((form for form, marks in FORMS.items() if marks <= names), None)


def name_of(function):
    """Of a partial, the function's; of an object, its class's."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def call(function, arguments):
    """Calls it with those arguments that it has a name for."""
    names, needed, takes_any = parameters(function)
    missing = sorted(needed - arguments.keys())
    if missing:
        raise TypeError(f"{name_of(function)} needs {', '.join(missing)}, which the row does not have")
    given = {k: v for k, v in arguments.items() if takes_any or k in names}
    result = function(**given)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def ask_trl(function, item):
    row = item["extra"]
    prompt, completion = item["prompt"], item["completion"]
    if isinstance(row.get("prompt"), list):
        prompt, completion = row["prompt"], [{"role": "assistant", "content": completion}]
    arguments = {k: [v] for k, v in row.items() if k not in ("prompt", "completion", "completion_ids")}
    arguments.update(prompts=[prompt], completions=[completion], trainer_state=None)
    arguments.update(log_extra=lambda *_: None, log_metric=lambda *_: None)
    return {"score": first(call(function, arguments), name_of(function))}


def ask_verl(function, item):
    row = item["extra"]
    extra = row.get("extra_info")
    result = call(function, {
        "data_source": item["data_source"] if item["data_source"] is not None else "",
        "solution_str": item["completion"],
        "ground_truth": item["ground_truth"],
        "extra_info": extra if isinstance(extra, dict) else row,
    })
    if not isinstance(result, dict):
        return {"score": first(result, name_of(function))}
    extracted = result.get("pred")
    return {"score": plain(result["score"]), "extracted": extracted if isinstance(extracted, str) else ""}


def ask_openrlhf(function, item):
    truth = item["ground_truth"]
    arguments = {"queries": [item["prompt"] + item["completion"]], "prompts": [item["prompt"]], "labels": [truth]}
    result = call(function, arguments)
    return {"score": first(result["rewards"] if isinstance(result, dict) else result, name_of(function))}


ASK = {"trl": ask_trl, "verl": ask_verl, "openrlhf": ask_openrlhf}


def score(function, form, item):
    try:
        result = ASK[form](function, item)
        value = result["score"]
        if value is not None and not isinstance(value, (bool, int, float)):
            value = float(value)  # Fraction, Decimal ...; a text that is no number is an error
        return {**result, "id": item["id"], "score": value}
    except (Exception, SystemExit) as e:
        last = traceback.extract_tb(e.__traceback__)[-1]
        traceback.print_exc()
        error = f"{type(e).__name__}: {e} ({os.path.basename(last.filename)}:{last.lineno})"
        if item["ground_truth"] is None and form != "trl":
            error += f"; the row has no {TRUTHS}; field=NAME names another"
        return {"id": item["id"], "error": error}


def load(path):
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or not os.path.isfile(path):
        sys.exit(f"strop_reward: there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def is_own(value, module):
    return isinstance(value, functools.partial) or (inspect.isfunction(value) and value.__module__ == module.__name__)


def find(module, path, name):
    if name:
        if not hasattr(module, name):
            sys.exit(f"strop_reward: {path} has no function {name}")
        if not callable(getattr(module, name)):
            sys.exit(f"strop_reward: {name} of {path} is no function: {type(getattr(module, name)).__name__}")
        return getattr(module, name)
    own = {k: v for k, v in vars(module).items() if is_own(v, module) and form_of(v)}
    for usual in USUAL:
        if usual in own:
            return own[usual]
    if len(own) != 1:
        found = f"several reward functions ({', '.join(own)})" if own else "no reward function"
        sys.exit(f"strop_reward: {path} has {found}; name one: {path}:FUNCTION")
    return next(iter(own.values()))


def arguments():
    parser = argparse.ArgumentParser(prog="strop_reward.py")
    parser.add_argument("function", metavar="FILE.py[:FUNCTION]")
    parser.add_argument("--form", choices=list(FORMS), help="how it is called; without it, by its parameters' names")
    return parser.parse_args()


def serve(function, form, requests, answers):
    def say(message):
        answers.write((json.dumps(message) + "\n").encode())
        answers.flush()

    for line in requests:
        request = json.loads(line)
        if request["type"] == "hello":
            say({"type": "ready", "protocol": 1, "name": name_of(function)})
        elif request["type"] == "score":
            results = [score(function, form, item) for item in request["items"]]
            say({"type": "scores", "seq": request["seq"], "results": results})


def main():
    given = arguments()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # what the function reads or prints must not meet the protocol
    os.dup2(2, 1)
    path, colon, name = given.function.rpartition(":")
    path, name = (path, name) if colon else (name, "")
    function = find(load(path), path, name)
    form = given.form or form_of(function)
    if not form:
        sys.exit(f"strop_reward: the parameters of {name_of(function)} are of no known form; give --form {'|'.join(FORMS)}")
    serve(function, form, requests, answers)


if __name__ == "__main__":
    main()
