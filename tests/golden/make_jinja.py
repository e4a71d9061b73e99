"""make_jinja.py - writes jinja_cases.json: templates of our own in the constructs of chat templates, rendered by jinja2.

    TZ=UTC python3 tests/golden/make_jinja.py

A case is [template, text], or [template, null] where jinja2 raises. SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib

import jinja_reference

VARIABLES = {
    "s": "Hello Wörld\n  x", "n": 5, "f": 2.5, "l": [3, 1, 2], "t": True, "nothing": None, "u": "日本語 text", "e": "",
    "d": {"b": 1, "a": [1, 2, {"c": None}], "items": 7},
    "m": [{"role": "system", "content": " S "}, {"role": "user", "content": "hi"},
          {"role": "assistant", "content": "<think>\nt\n</think>\n\nyo", "tool_calls": [{"x": 1}]},
          {"role": "user", "content": [{"type": "text", "text": "p1"}, {"type": "text", "text": "p2"}]}],
    "tools": None, "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True,
}

# One expression a line.
EXPRESSIONS = r"""
1 + 2 * 3 | abs
-1 | abs
2 ** 3 ** 2
-2 ** 2
7 // 2 ~ ' ' ~ -7 // 2 ~ ' ' ~ 7 % -3 ~ ' ' ~ -7 % 3
7.5 // 2, -7.5 // 2, -7.5 % 2, -1 % 2.5, 1 / 3, 10 / 2, 2 ** -1, 0.0 ** 0
true + 1, 1e16, 1e15, 123456789012345680.0, 0.0001, 0.00001, 1.0, 0.1 + 0.2, 1_000, -0.0
9223372036854775807, -9223372036854775807 - 1, 10 ** 18
1 // 0
1.0 / 0
'a' ~ 1 ~ none ~ true ~ 2.0 ~ [1, 'b'] ~ zz
'a' * 3 + 2 * 'b', [1] * 2 + [2], (1,) + (2,)
'a' + 1
'a' 'b' "c"
"x'y" ~ 'it\'s' ~ '\x41\u00e9\n\t\\\101\d'
'\é'
s[0], s[-1], s[1:4], s[::-1], s[10:2:-2], u[1:3], u[::-1], s[:-100], s[5:1]
l[::-1], l[5], l[-5], l[1:], l[-2:], l[::2], l['x'], (1, 2)[::-1]
d.a, d['a'], d['items'], d.zz, d.get('q'), d.get('q', 3), d.keys(), d.values(), d.items()
s[::0]
nothing[0], nothing.a, n.a, n[0]
nothing[1:]
zz.a
zz['a']
zz + 1
zz()
s.strip(), s.upper(), s.lower(), s.title(), s.capitalize(), s | title, 'x-y (z' | title
s.split(), s.split('l'), s.split('l', 1), s.rsplit('l', 1), s.splitlines(), s.splitlines(true), ' a b  '.split(none, 1)
'a\r\nb\x0bc\u2028d\n'.splitlines()
s.find('W'), s.find('l', 3), s.rfind('l'), s.count('l'), s.find('zz'), s.index('W'), u.find('語')
s.replace('l', 'L'), s.replace('l', 'L', 1), 'abc'.replace('', '-')
s.startswith('Hell'), s.startswith(('x', 'H')), s.endswith('x'), 'abc'.startswith('b', 1)
'xxabxx'.strip('x'), 'abc'.lstrip('ab'), 'abc'.rstrip('cb'), '\u3000a\x1c'.strip()
'a.b.c'.partition('.'), 'a.b.c'.rpartition('.'), 'abc'.partition('x'), 'abc'.rpartition('x')
'abc'.center(10), 'abc'.center(9, '*'), 'abc'.ljust(5) ~ '|', 'abc'.rjust(5), '42'.zfill(5), '-42'.zfill(5)
'abc'.isalpha(), 'ab1'.isalnum(), '12'.isdigit(), ''.isalpha(), ' '.isspace(), 'Ab'.islower(), 'AB'.isupper()
'-'.join(['a', 'b']), 'prefix_x'.removeprefix('prefix_'), 'x.py'.removesuffix('.py'), 'aBc'.swapcase()
'-'.join([1])
'{} {}'.format(1, 'a'), '{0}{1}{0}'.format(1, 2), '{a}'.format(a=3), '{:>5}|{:<5}|{:^5}'.format(1, 'a', 'b')
'{:.2f} {:,} {:05d} {!r} {{}}'.format(3.14159, 1234567, 42, 'x')
'%s-%d' % ('a', 3), '%s' % none, '%5.1f|' % 2.25, '%-5s|' % 'a', '%05d' % -42, '%x' % 255, '%(a)s' % {'a': 1}, '100%%' % ()
'%s %s' % (1,)
'abc' % 1
l | sort, l | sort(reverse=true), l | join(','), l | join, l | first, l | last, l | length, l | sum, l | max, l | min
l | reverse | list, 'abc' | list, 'abc' | reverse, [] | first, [] | last, ['b', 'A', 'c'] | sort, [[1, 2], [3]] | sum(start=[])
['b', 'A', 'c'] | sort(case_sensitive=true), ['a', 'A', 'b'] | unique | list
[1, 2, 3, 4, 5] | batch(2) | list, [1, 2, 3] | batch(2, 0) | list, [1, 2, 3, 4, 5] | slice(2) | list
m | map(attribute='role') | list, m | map(attribute='role') | join(', '), m | selectattr('role', 'equalto', 'user') | list | length
m | selectattr('tool_calls') | list | length, m | rejectattr('tool_calls', 'defined') | map(attribute='role') | list
['a', 'b'] | map('upper') | list, [1, 2, 3] | select('odd') | list, [1, 2, 3] | reject('odd') | list, [0, 1, ''] | select | list
[{'a': 1, 'b': 2}, {'a': 1, 'b': 0}] | sort(attribute='a,b'), [{'a': {'x': 2}}] | map(attribute='a.x') | list
[{}, {'a': 1}] | map(attribute='a', default=9) | list, [[1, 2]] | map(attribute=0) | list, ['a b'] | map('replace', ' ', '_') | list
m | selectattr('role', 'in', ['user', 'system']) | map(attribute='role') | list, [1, 2, 3] | select('>', 1) | list
d | dictsort, d | dictsort(reverse=true), d | items | list, d | length, d | list
[1, 'a'] | sort
d | tojson, d | tojson(indent=2), d | tojson(separators=(',', ':')), d | tojson(sort_keys=true), [[], {}] | tojson(indent=1)
[1, 2.0, 1e20, 'é"\n\u2028/\x07', true, none] | tojson, [1, 'é😀'] | tojson(ensure_ascii=true), {1: 2, none: 3, 2.5: 5} | tojson
zz | tojson
none, true, false, [none, true, 1.0, 'x', "y'z", 'a"b\'c', '\n\x07\u200b'], (1,), (), {'a': 1}, range(3), range(5, 0, -2)
{1: 2, 1.0: 3, true: 4}
{[]: 1}
zz, zz | default('q'), '' | d('q'), '' | default('q', true), none | default('q'), zz ~ '', zz | length, zz | list, zz | upper
zz is defined, zz is undefined, none is none, d is mapping, l is sequence, d is sequence, s is sequence, s is string, d.keys() is sequence
n is number, t is number, t is integer, n is integer, f is float, d.keys is callable, l is iterable, n is iterable, zz is iterable
3 is odd, 4 is even, 6 is divisibleby 3, 6 is divisibleby(4), none is not none, 1 is in [1, 2], 'a' is lower, 'A' is upper
t is true, t is boolean, 1 is true, none is sameas none, 2 is eq 2, 2 is gt 1, 'x' is equalto 'x', 2 is ne(3)
1 < 2 < 3, 1 < 2 > 3, 1 == 1.0, true == 1, 'a' < 'b', [1, 2] < [1, 3], 1 in l, 9 not in l, 'x' in 'xyz', 'a' in d, not 1 in l
[] == (), {'a': 1, 'b': 2} == {'b': 2, 'a': 1}, none == none, zz == none, 9007199254740993 == 9007199254740992.0
1 < 'a'
none < 1
1 in 5
1 in 'a'
not true and false or true, 1 and 2, 0 or 'x', 'a' if true, 'a' if false, 'a' if false else 'b', 'a' if 1 else 'b' if 0 else 'c'
s | trim, s | upper, s | lower, s | capitalize, s | replace('l', 'x'), s | indent, s | indent(2, true), s | indent('>>')
'a\n\nb' | indent(2), 'a\n\nb' | indent(2, blank=true), 'a\n' | indent, '' | indent(first=true)
'foo bar baz qux' | truncate(9), 'foo bar baz qux' | truncate(9, true), 'foo bar baz qux' | truncate(11), 'foo bar-baz' | wordcount
42.55 | round, 42.55 | round(1), 2.5 | round, 3.5 | round, 3 | round, 42.45 | round(1, 'floor'), 42.41 | round(1, 'ceil')
'3.5' | float, 'x' | float, 3 | float, 'x' | float(1.5), 3.14 | int, '42.9' | int, 'abc' | int, 'abc' | int(7), ' 1_2 ' | int, none | int
'<a>' | escape, ('<a>' | safe) + '<b>', '<c>' + ('<a>' | safe), ('<a>' | safe) ~ '<b>', '<a>' | safe | tojson, '&' | e | e
namespace(a=1).a, dict(a=1, b=2), dict([('a', 1)]), cycler('a', 'b').next(), range(2, 4) | list
raise_exception('oops')
range(1000000)
l.append(1)
d.update({})
s.__class__, [].__len__, 'a'['upper'](), d['get']('b')
'ñandú' | title, 'ÀB' | lower, 'été' | upper
strftime_now('%d %b %Y'), strftime_now('%Y-%m-%d %H:%M:%S.%f'), strftime_now('%-d %B, %A')
loop
'abc' | center(9) ~ '|', 'a' | attr('nope'), ['x', 'y'] | join('-', attribute=0)
"""

TEMPLATES = [
    "",
    "\n",
    "plain text\n\n",
    "a\r\nb\rc\n",
    "{% if t %}\n  x\n{% endif %}\ny",
    "  {% if t %}\n  x\n  {% endif %}\n  y",
    "  {%+ if t %}\n  x\n  {%+ endif +%}\n  y",
    "a  {%- if t -%}  \n x \n {%- endif -%} \n y",
    "a \n {{- n -}} \n b {{+ n }} c\n{{ n }}\nd",
    "a {# c #}\n  {#- c -#}  b\n {# {{ #} x {#-#} y {#+#}\n z",
    "{% raw %}{{ x }}{% if %}{% endraw %} |\n  {%- raw -%}  \n {{ }} \n {%- endraw -%} \n z",
    "{% for x in l %}{{ loop.index }}/{{ loop.length }}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for x in [] %}a{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in u %}{{ c }}.{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index0 }}{{ x }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{% endfor %}",
    "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {% endfor %}",
    "{% for x in [[1, [2]], [3]] recursive %}{{ loop.depth }}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}:{{ loop.index }} {% endfor %}{{ loop is defined }}",
    "{% for x in 5 %}{% endfor %}",
    "{% for a, b in [(1, 2), (3,)] %}{{ a }}{% endfor %}",
    "{% for x in zz %}a{% else %}b{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{{ x }}{% set x = i %}{{ x }} {% endfor %}{{ x }}",
    "{% set x = 1 %}{% if t %}{% set x = 2 %}{% endif %}{{ x }}{% if not t %}{% set y = 2 %}{% endif %}{{ y }}",
    "{% set ns = namespace(found=false, k='a') %}{% for i in l %}{% set ns.found = i %}{% endfor %}{{ ns.found }}{{ ns.k }}{{ ns.zz }}",
    "{% set ns = namespace(n=0) %}{% for i in l if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ i }}{% endfor %}{{ ns.n }}",
    "{% set d.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, %}{{ c }}",
    "{% set x %}  a {{ n }} {% endset %}[{{ x }}]{% set y | upper | trim %} q {% endset %}[{{ y }}]",
    "{% filter upper %}a{{ s }}{% endfilter %}{% filter replace('a', 'b') | trim %} aa {% endfilter %}",
    "{% macro f(a, b=2, c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(b=1, a=2) }}{{ f() }}",
    "{% macro f(a) %}{{ varargs }}{{ kwargs }}{{ a }}{% endmacro %}{{ f(1, 2, 3, x=4) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}in {{ n }}{% endcall %}",
    "{% macro f(x) %}<{{ caller(x, 2) }}>{% endmacro %}{% call(a, b=3) f(1) %}{{ a }}{{ b }}{% endcall %}",
    "{% macro f() %}{{ late }}{% endmacro %}{% set late = 3 %}{{ f() }}{% for late in [9] %}{{ f() }}{% endfor %}",
    "{% macro f() %}{% set q = 1 %}{{ q }}{% endmacro %}{{ f() }}{{ q }}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% set c = 2 %}{% endwith %}{{ a }}{{ c }}",
    "{% if zz %}a{% elif n == 5 %}b{% elif t %}c{% else %}d{% endif %}",
    "{% if false %}a{% else %}b{% endif %}{% if l | length > 2 and not zz %}c{% endif %}",
    "{% print n, s %}",
    "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}",
    "{%- generation -%}\n a \n{%- endgeneration -%}\n",
    "{{ 1, 2 }}{{ (1) }}{{ () }}{{ {'a': {'b': 1}}}}",
    "{{ {'a': 1}.a }}{{ {}|length }}{{ [1, 2,] }}{{ {'a': 1,} }}",
    "{% if m[0].role == 'system' %}{% set loop_m = m[1:] %}{% set sys = m[0]['content'] | trim %}{% endif %}{{ sys }}{{ loop_m | length }}",
    "{% for x in m %}{% if x.content is string %}{{ x.content.split('</think>')[-1].lstrip('\\n') }}{% else %}"
    "{% for p in x.content %}{{ p.text }}{% endfor %}{% endif %}{{ eos_token }}{% endfor %}",
    "{% for x in m[::-1] %}{% set index = (m | length - 1) - loop.index0 %}{{ index }}{{ x.role[0] }}{% endfor %}",
    "{{ bos_token }}{% if tools %}x{% endif %}{{ tools is defined }}{{ tools is none }}{% if tools is not none and tools | length > 0 %}y{% endif %}",
    "{{ m | map(attribute='content') | select('string') | join('|') }}{{ m[0].content if m[0].content is string else '' }}",
    "{% set x = joiner(', ') %}{% for i in l %}{{ x() }}{{ i }}{% endfor %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}",
    "{% set g = l | map('string') %}{{ g | join }}{{ g | join }}{% if g %}true{% endif %}",
    "{{ '%s' | format(n) }}{{ s.split('\\n')[0] | trim | upper | replace('L', 'l') }}",
    "{{ (l | first) is number }}",
    "{{ undefined_function(1) }}",
    "{{ 'a' is defined and zz.b is defined }}",
    "{% set x = {'a': [1]} %}{% set y = dict(x, b=2) %}{{ y }}{{ x }}",
    "{% for x in l %}{% continue %}{% else %}e{% endfor %}{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{% else %}e{% endfor %}",
    "{% generation %}{{ kwargs }}{{ varargs }}{{ caller }}{% endgeneration %}{{ kwargs }}",
    "{% for i in l %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}",
    "{% macro g() %}{{ n }}{% endmacro %}{{ g() }}{% set n = 1 %}{{ g() }}",
    "{% set x %}{{ n }}{% endset %}{% with %}{{ n }}{% endwith %}{{ x }}{% set n = 1 %}",
    "{{ n }}{% for i in l %}{{ n }}{% endfor %}{% set n = 1 %}",
    "{% for i in l %}{% for j in l %}{{ n }}{% endfor %}{% set n = i %}{{ n }}{% endfor %}{{ n }}",
    "{% for i in l %}{{ n }}{% endfor %}{% if t %}{% set n = 1 %}{% endif %}{{ n }}",
    "{% for i in l %}{{ n }}{% endfor %}{% set n = n + 1 %}{{ n }}{% for n in l %}{{ n }}{% endfor %}{{ n }}",
    "{% with n = n %}{% for i in l %}{{ n }}{% endfor %}{% set n = 1 %}{{ n }}{% endwith %}{{ n }}",
    "{{ zz | reverse | list }}{% if zz | reverse %}an iterator is true{% endif %}",
    "{%set x=1%}{{x}}{%if x==1%}y{%endif%}",
    "{% if n == 5: %}a{% endif %}{% for i in l: %}{{ i }}{% endfor %}",
    "{{ '{{' }}{{ '%}' }}{{ \"}}\" }}",
    "{{ l[0]\n  + l[1] }}\n{% if\n t %}a{%\nendif %}",
]

SYNTAX_ERRORS = [
    "{{", "{{ }}", "{% if %}", "{% if t %}", "{% endif %}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1, 2 }}", "{% for x %}{% endfor %}",
    "{% for x in l %}", "{{ 'a }}", "{# a", "{% raw %}a", "{% unknown %}", "{{ a b }}", "{{ a | nope }}", "{{ a is nope }}",
    "{% set 1 = 2 %}", "{% set a.b.c = 2 %}", "{% macro f(a=1, b) %}{% endmacro %}", "{% break %}", "{{ a.'b' }}", "{{ a[ }}",
    "{{ f(a=1, 2) }}", "{{ f(**a, b) }}", "{% call f %}{% endcall %}", "{% if t %}{% else %}{% elif t %}{% endif %}", "{{ ! }}",
    "{{ '\\x4' }}", "{{ 1 is odd is even }}", "{% endfor %}", "{% for loop in l %}{% endfor %}", "{{ a, }} {{ , }}", "{% set x %}",
]


def main():
    sources = ["{{ " + line + " }}" for line in EXPRESSIONS.strip().split("\n")] + TEMPLATES
    cases = [[source, jinja_reference.render(source, VARIABLES)[0]] for source in sources]
    for source in SYNTAX_ERRORS:
        assert jinja_reference.render(source, VARIABLES)[0] is None, source
        cases.append([source, None])
    out = {"variables": VARIABLES, "now": jinja_reference.NOW, "cases": cases}
    (pathlib.Path(__file__).parent / "jinja_cases.json").write_text(json.dumps(out, indent=0, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
