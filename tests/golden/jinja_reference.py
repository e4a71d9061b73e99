"""jinja_reference.py - the environment in which transformers renders chat templates, for the scripts that compare with it.

Needs jinja2 3.1. SPDX-License-Identifier: Apache-2.0
"""
import datetime
import functools
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1764500000.25  # what strftime_now takes for the present: 2025-11-30 10:53:20.25 UTC


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_call"), [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def _call(self, context, caller):
        return caller()


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def strftime_now(text):
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None).strftime(text)


def environment():
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                         extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = strftime_now
    return made


@functools.lru_cache(4)
def template(source):
    return environment().from_string(source)


def render(source, variables):
    """The text, or None and why there is none."""
    try:
        return template(source).render(**variables), None
    except Exception as error:  # whatever Python raises
        return None, f"{type(error).__name__}: {error}"
