"""make_chat.py - writes chat_cases.json: conversations rendered by jinja2 from the templates of checkpoints.

    python tests/golden/make_chat.py NAME=FILE ...

NAME is a name of chat_format_name; FILE is a Jinja template or a GGUF file that holds one. Only the results are kept.
SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import sys

from jinja2.sandbox import ImmutableSandboxedEnvironment

CONVERSATIONS = [
    [("user", "What is 2 + 2?")],
    [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", " again \n")],
    [("user", "a"), ("assistant", "<think>\nx\n\n</think>\n\nb"), ("user", "c"), ("assistant", "<think>y</think>d")],
    [("user", "a"), ("assistant", "b")],
    [("assistant", "\n\nfirst"), ("user", "<tool_response>1</tool_response>"), ("assistant", "</think>\nz")],
    [("system", "  padded\u00a0\n"), ("user", "\u3000wide\u3000"), ("assistant", "\x1cq\x1f")],
    [("user", "q"), ("assistant", "<think>\n1\n</think>\n\n2"), ("assistant", "3"), ("user", "")],
    [("user", "q"), ("assistant", "<think>\n1\n</think>\n\n2"), ("assistant", "\n3"), ("assistant", "4")],
]


def template_of(path):
    if path.endswith(".gguf"):
        import gguf
        return gguf.GGUFReader(path).fields["tokenizer.chat_template"].contents()
    return pathlib.Path(path).read_bytes().decode()


def main():
    formats = {}
    for argument in sys.argv[1:]:
        name, path = argument.split("=", 1)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string(template_of(path))
        begin = "<｜begin▁of▁sentence｜>" if name.startswith("deepseek") else "<|begin_of_text|>"
        formats[name] = [
            {"messages": [list(m) for m in conversation], "generate": generate,
             "text": template.render(messages=[{"role": r, "content": c} for r, c in conversation],
                                     add_generation_prompt=generate, bos_token=begin)}
            for conversation in CONVERSATIONS for generate in (False, True)]
    out = pathlib.Path(__file__).parent / "chat_cases.json"
    out.write_text(json.dumps(formats, indent=1) + "\n")


main()
