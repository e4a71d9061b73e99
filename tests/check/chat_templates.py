"""chat_templates.py - chat templates of public models, each with twelve conversations, by jinja2 and by strop.

    python3 tests/check/chat_templates.py PROGRAM FOLDER ...

PROGRAM is tests/check/jinja. Every *.jinja file in the folders is rendered, as it is and with each of the edits below
that fits it; what strop renders must be what jinja2 renders, byte for byte. A template that strop refuses is counted apart, and one
where both raise an error. Exit code 1: a rendering differs.
SPDX-License-Identifier: Apache-2.0
"""
import collections
import json
import pathlib
import subprocess
import sys
import timeit

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "golden"))
import jinja_reference  # noqa: E402

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city: \"now\" & later.\nIn Celsius.",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "Name <of> the city"},
        "days": {"type": "integer", "default": 3, "minimum": 1},
        "unit": {"type": ["string", "null"], "enum": ["C", "F"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object", "properties": {"lat": {"type": "number", "default": 1.0}}}}},
    "return": {"type": "object", "properties": {"t": {"type": "number"}}}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time.",
                                          "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call12345", "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2, "exact": True, "rest": None}}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


CONVERSATIONS = {
    "question": dict(messages=[user("What is 2 + 3?")]),
    "no opening": dict(messages=[user("Hi"), assistant("Hello.")], add_generation_prompt=False),
    "system, turns": dict(messages=[system("Be brief."), user("Hi"), assistant("Hello."), user(" again \n")]),
    "two systems": dict(messages=[system("One."), system("Two."), user("Go")]),
    "unicode": dict(messages=[system("日本語 \u3000"), user("Ünïcödé 😀 \u00a0<b>&\"'"), assistant("¿qué?"), user("\\n {{ x }}")]),
    "thinking": dict(messages=[user("a"), assistant("<think>\nx\n\n</think>\n\nb"), user("c"),
                               assistant("<think>y</think>d", reasoning_content="why")], add_generation_prompt=False),
    "thinking, then asked": dict(messages=[user("a"), assistant("b", reasoning_content="because\n"), user("c")],
                                 enable_thinking=False),
    "empty": dict(messages=[system(""), user(""), assistant(""), user("x")], enable_thinking=True),
    "tools": dict(messages=[system("S"), user("Weather?")], tools=[WEATHER, CLOCK]),
    "tool calls": dict(messages=[user("Weather?"), assistant("", tool_calls=[CALL]),
                                 {"role": "tool", "name": "get_weather", "tool_call_id": "call12345", "content": "{\"t\": 21.5}"},
                                 assistant("21.5 degrees."), user("Thanks")], tools=[WEATHER, CLOCK]),
    "tool results last": dict(messages=[user("Both?"), assistant(None, tool_calls=[CALL, {**CALL, "id": "call54321"}]),
                                        {"role": "tool", "tool_call_id": "call12345", "name": "get_weather", "content": "1"},
                                        {"role": "tool", "tool_call_id": "call54321", "name": "get_weather", "content": "2"}],
                              tools=[WEATHER]),
    "parts": dict(messages=[system([{"type": "text", "text": "S"}]),
                            user([{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])]),
}


# Templates that are measured, where they are there.
MEASURED = {"Qwen-Qwen2.5-7B-Instruct", "Qwen-Qwen3-0.6B", "meta-llama-Llama-3.1-8B-Instruct", "openai-gpt-oss-120b",
            "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "HuggingFaceTB-SmolLM3-3B"}

# What people change in a template: a text and what takes its place; "" in front: put before or after the whole.
EDITS = [
    ("<", "{{ bos_token }}"),
    ("<", "{%- set enable_thinking = false %}"),
    ("<", "{# You are Qwen, created by Alibaba Cloud. #}"),
    ("<", "{% if tools %}nothing{% else %}"),
    (">", "<think>\n"),
    (">", "{% if not enable_thinking %}</think>{% endif %}"),
    (">", "\n\n"),
    ("message['content']", "(message['content'] | trim)"),
    ("message.content", "(message.content | trim)"),
    ("<|im_start|>assistant\\n", "<|im_start|>assistant\\n<think>\\n"),
    ("<|im_start|>assistant\\n", "<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n"),
    ("<|im_start|>assistant\\n", "<|im_start|>assistant\\nLet me solve this.\\n"),
    ("<|im_end|>\\n", "<|im_end|>"),
    ("'<|im_end|>' + '\\n'", "'<|im_end|>'"),
    ("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", "You are a helpful assistant."),
    ("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", ""),
    ("Please reason step by step, and put your final answer within \\\\boxed{}.", "Answer with one number."),
    ("add_generation_prompt", "true"),
    ("add_generation_prompt", "false"),
    ("enable_thinking is defined and enable_thinking is false", "enable_thinking is not defined or enable_thinking is false"),
    ("system_message = \"\"", "system_message = \"You are a helpful assistant.\""),
    ("26 Jul 2024", "1 Jan 2025"),
    ("{{'<｜Assistant｜><think>\\n'}}", "{% if enable_thinking %}{{'<｜Assistant｜><think>\\n'}}{% else %}{{'<｜Assistant｜>'}}{% endif %}"),
    ("<｜Assistant｜><think>\\n", "<｜Assistant｜>"),
    ("'<｜User｜>' + message['content']", "'<｜User｜>' + message['content'] + '<｜end▁of▁sentence｜>'"),
    ("split('</think>')[-1]", "split('</think>')[0]"),
    ("strip('\\n')", "strip()"),
    (" | trim", ""),
    ("loop.last", "loop.first"),
    ("loop.index0", "loop.revindex0"),
    ("messages[0]", "messages[-1]"),
    ("-%}", "%}"),
    ("{%-", "{%"),
    ("{{-", "{{"),
    ("== 'user'", "!= 'user'"),
    ("\n", "\r\n"),
]


def edited(source, old, new):
    """None: the edit does not fit."""
    if old == "<":
        return new + source + ("{% endif %}" if new.endswith("else %}") else "")
    if old == ">":
        return source + new
    return source.replace(old, new) if old in source else None


def variables(conversation):
    return {"bos_token": "<BOS>", "eos_token": "<EOS>", "unk_token": "<UNK>", "pad_token": "<PAD>", "tools": None,
            "documents": None, "add_generation_prompt": True, **conversation}


def by_strop(program, cases):
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([program], input=lines.encode(), capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line]


def verdict(want, got):
    if want is None:
        return "both fail" if "error" in got else "DIFFERENT"
    return "refused" if "error" in got else "same" if got["text"] == want else "DIFFERENT"


def compare(program, source, conversations, name):
    """How often what came out; says what differs or is refused."""
    cases = [{"template": source, "now": jinja_reference.NOW, "variables": variables(CONVERSATIONS[c])} for c in conversations]
    counts, told = collections.Counter(), set()
    for conversation, case, got in zip(conversations, cases, by_strop(program, cases)):
        want, why = jinja_reference.render(source, case["variables"])
        kind = verdict(want, got)
        counts[kind] += 1
        if kind in ("DIFFERENT", "refused") and got.get("error") not in told:
            told.add(got.get("error"))
            print(f"  {kind}: {name} with '{conversation}': {got.get('error', why or 'another text')}")
    return counts


def measure(program, name, source):
    """Microseconds of a rendering of 21 messages, by strop and by jinja2 with the template compiled."""
    turns = variables({"messages": [user("What is 2 + 3? " * 8), assistant("It is five. " * 20)] * 10 + [user("And 7?")]})
    got = by_strop(program, [{"template": source, "variables": turns, "now": 0, "times": 200}])[0]
    template = jinja_reference.template(source)
    if "error" in got:
        return
    try:
        seconds = min(timeit.repeat(lambda: template.render(**turns), number=20, repeat=5)) / 20
    except Exception:  # a template that takes no such conversation
        return
    print(f"{name}, {len(source)} bytes: {got['microseconds']:.0f} microseconds; jinja2 {seconds * 1e6:.0f}")


def words(counts):
    return ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))


def main():
    program, folders = sys.argv[1], sys.argv[2:]
    files = sorted(path for folder in folders for path in pathlib.Path(folder).rglob("*.jinja"))
    total, edits, n_edits, seen = collections.Counter(), collections.Counter(), 0, set()
    for path in files:
        source = path.read_bytes().decode()
        if source in seen:
            continue
        seen.add(source)
        name = f"{path.parent.name}/{path.stem}"
        counts, of_edits = compare(program, source, list(CONVERSATIONS), name), collections.Counter()
        for old, new in EDITS:
            text = edited(source, old, new)
            if text is not None:
                n_edits += 1
                of_edits += compare(program, text, ["question", "system, turns", "tool calls"], f"{name} with {old!r} as {new!r}")
        total += counts
        edits += of_edits
        print(f"{name}: {words(counts)}; edited: {words(of_edits)}")
    print(f"{len(seen)} templates, {len(CONVERSATIONS)} conversations each: {words(total)}")
    print(f"{n_edits} templates that {len(EDITS)} edits made of them, 3 conversations each: {words(edits)}")
    print("one rendering of 21 messages:")
    for path in files:
        if path.stem in MEASURED:
            measure(program, path.stem, path.read_bytes().decode())
    return 1 if total["DIFFERENT"] + edits["DIFFERENT"] or not seen else 0


sys.exit(main())
