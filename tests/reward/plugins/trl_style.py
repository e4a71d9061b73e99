# trl_style.py - reward functions as TRL takes them.
#
# SPDX-License-Identifier: Apache-2.0
import asyncio
import functools


def accuracy_reward(prompts, completions, answer, **kwargs):
    print("a print on stdout", flush=True)
    assert len(prompts) == len(completions) == len(answer) and "prompts" not in kwargs
    return [1.0 if right in text else 0.0 for text, right in zip(completions, answer)]


def chat_reward(completions, **kwargs):
    return [float(len(completion[0]["content"])) for completion in completions]


async def slow_reward(completions, **kwargs):
    await asyncio.sleep(0.001)
    return [None if "skip" in text else 0.25 for text in completions]


def needs_ids(completions, completion_ids, **kwargs):
    return [0.0]


def two_scores(completions, **kwargs):
    return [0.0, 1.0]


def raises(completions, **kwargs):
    return [1 / 0]


def leaves(completions, **kwargs):
    raise SystemExit(3)


def nan(completions, **kwargs):
    return [float("nan")]


def nameless(first, second):
    return [0.0]


def longer_than(length, completions, **kwargs):
    return [float(len(text) > length) for text in completions]


class Lengths:
    def __call__(self, completions, **kwargs):
        return [float(len(text)) for text in completions]


longer_than_3 = functools.partial(longer_than, 3)
raises_partly = functools.partial(raises, weight=2)
an_object = Lengths()
A_NUMBER = 3
