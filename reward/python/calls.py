# calls.py - functions called across a pipe, and values as plain data. Standard library only.
#
# A value travels as JSON text. What JSON lacks has a tag, an object with one key that starts with "$":
#   {"$t": [..]} tuple   {"$s": [..]} set   {"$d": [[k, v], ..]} dict whose keys are not plain strings
#   {"$i": "123"} integer beyond 2**53   {"$f": "nan"} nan, inf, -inf   {"$c": [re, im]} complex   {"$b": "hex"} bytes
#   {"$x": ["Decimal", "1.5"]} a few types of the library, by text
#   {"$h": n} an object that stays with the sender   {"$o": n} an object of the receiver, coming back
#   {"$n": ["Name", state]} an object of a class that both sides have: from the setup of the tests
# Subclasses are lowered to their base, so a value cannot bring its own == along. Only plain data is ever compared.
#
# Three programs use it, each in a sandbox of its own run:
#   answer   calls one function with given arguments and writes the value            (SANDBOX_FUNCTION)
#   serve    runs the model's program and lets its functions be called               (SANDBOX_SERVE)
#   test     runs the data set's assertions (asserts.py); the functions are stubs    (SANDBOX_TEST)
#
# SPDX-License-Identifier: Apache-2.0
import ast
import builtins
import datetime
import decimal
import fractions
import json
import os
import struct
import sys
from json.encoder import encode_basestring_ascii as quote

MOST_FRAME = 16 << 20
MOST_DEPTH = 500
FUNCTIONS = (type(lambda: 0), type(len), type([].append))
LOWERED = (int, float, complex, str, bytes, bytearray, list, set, frozenset, dict)
BY_TEXT = {
    "Decimal": (decimal.Decimal, str, decimal.Decimal),
    "Fraction": (fractions.Fraction, str, fractions.Fraction),
    "datetime": (datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
    "date": (datetime.date, datetime.date.isoformat, datetime.date.fromisoformat),
    "time": (datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
}
TYPES = {t.__name__: t for t in vars(builtins).values() if isinstance(t, type) and not issubclass(t, BaseException)}


class NotPlain(Exception):
    """The value has no plain form."""


class Gone(BaseException):
    """The other side ended. Not an Exception, so that a test's `except Exception` lets it through."""


def encode(value, keep=None, shared=None):
    """The value as JSON text. keep(object) gives the tag of what has no plain form; without it that is NotPlain.
    shared: the names of classes whose objects go as their state."""
    parts = []
    size = [0]

    def put(text):
        size[0] += len(text)
        if size[0] > MOST_FRAME:
            raise NotPlain("the value is too large")
        parts.append(text)

    def many(values, depth):
        first = True
        for v in values:
            if not first:
                put(",")
            first = False
            walk(v, depth + 1)

    def walk(v, depth):
        if depth > MOST_DEPTH:
            raise NotPlain("the value is nested too deep")
        kind = type(v)
        if v is None:
            put("null")
        elif shared and kind in shared and not issubclass(kind, LOWERED):
            put('{"$n":[%s,' % quote(shared[kind]))
            if issubclass(kind, tuple):
                walk(list(tuple.__iter__(v)), depth + 1)
            else:
                walk(dict(getattr(v, "__dict__", {})), depth + 1)
            put("]}")
        elif kind is bool:
            put("true" if v else "false")
        elif issubclass(kind, int):
            v = int.__add__(v, 0)
            put(int.__repr__(v) if -(2**53) <= v <= 2**53 else '{"$i":"%s"}' % int.__repr__(v))
        elif issubclass(kind, float):
            v = float.__pos__(v)
            put(float.__repr__(v) if v - v == 0 else '{"$f":"%s"}' % float.__repr__(v))
        elif issubclass(kind, str):
            put(quote(str.__str__(v)))
        elif issubclass(kind, (list, tuple)):
            is_list = issubclass(kind, list)
            put("[" if is_list else '{"$t":[')
            many(list.__iter__(v) if is_list else tuple.__iter__(v), depth)
            put("]" if is_list else "]}")
        elif issubclass(kind, (set, frozenset)):
            put('{"$s":[')
            many(set.__iter__(v) if issubclass(kind, set) else frozenset.__iter__(v), depth)
            put("]}")
        elif issubclass(kind, dict):
            mapping(list(dict.items(v)), depth)
        elif kind is complex:
            put('{"$c":[')
            many((v.real, v.imag), depth)
            put("]}")
        elif kind in (bytes, bytearray):
            put('{"$b":"%s"}' % v.hex())
        elif kind is type and TYPES.get(v.__name__) is v:
            put('{"$x":["type",%s]}' % quote(v.__name__))
        else:
            other(v, kind)

    def mapping(items, depth):
        plain = all(type(k) is str and not k.startswith("$") for k, _ in items)
        put("{" if plain else '{"$d":[')
        for n, (k, v) in enumerate(items):
            put("," if n else "")
            if plain:
                put(quote(k) + ":")
                walk(v, depth + 1)
            else:
                put("[")
                many((k, v), depth)
                put("]")
        put("}" if plain else "]}")

    def other(v, kind):
        for name, (t, text, _) in BY_TEXT.items():
            if kind is t:
                put('{"$x":["%s",%s]}' % (name, quote(text(v))))
                return
        tag = keep(v) if keep else None
        if tag is None:
            raise NotPlain("a %s is not plain data" % kind.__name__)
        put(tag)

    walk(value, 0)
    return "".join(parts)


def decode(text, reference=None, real=float):
    """The value of JSON text; reference(tag, n) gives the object of "$h" and "$o", real(text) that of "$f"."""

    def walk(v):
        if type(v) is list:
            return [walk(x) for x in v]
        if type(v) is not dict:
            return v
        if len(v) != 1 or not next(iter(v)).startswith("$"):
            return {k: walk(x) for k, x in v.items()}
        tag, inner = next(iter(v.items()))
        if tag == "$t":
            return tuple(walk(x) for x in inner)
        if tag == "$s":
            return set(hashable(walk(x)) for x in inner)
        if tag == "$d":
            return {hashable(walk(k)): walk(x) for k, x in inner}
        if tag == "$i":
            return int(inner)
        if tag == "$f":
            return real(inner)
        if tag == "$c":
            return complex(*inner)
        if tag == "$b":
            return bytes.fromhex(inner)
        if tag == "$x":
            return TYPES[inner[1]] if inner[0] == "type" else BY_TEXT[inner[0]][2](inner[1])
        if reference is None:
            raise NotPlain("an object where only plain data may be")
        return reference(tag, [inner[0], walk(inner[1])] if tag == "$n" else inner)

    def hashable(v):
        return frozenset(v) if type(v) is set else v

    return walk(json.loads(text))


def read_exactly(fd, n):
    parts = []
    while n:
        try:
            part = os.read(fd, min(n, 1 << 20))
        except OSError:  # reset: it ended with our words unread
            raise Gone() from None
        if not part:
            raise Gone()
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def write_all(fd, data):
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view):]
    except OSError:
        raise Gone() from None


def write_frame(fd, text):
    data = text.encode("ascii")
    write_all(fd, struct.pack(">I", len(data)) + data)


class Nan(float):
    """NaN from the program. An assertion that asks for its order fails: "not abs(x - 1) > 0.1" would hold for it."""

    def _refuse(self, _):
        raise ArithmeticError("NaN has no order")

    __lt__ = __le__ = __gt__ = __ge__ = _refuse


def keep_nan(work):
    def method(*args):
        value = work(*args)
        return Nan(value) if type(value) is float and value != value else value

    return method


for name in "add sub mul truediv floordiv mod pow radd rsub rmul rtruediv rfloordiv rmod rpow neg pos abs".split():
    setattr(Nan, "__%s__" % name, keep_nan(getattr(float, "__%s__" % name)))


class Peer:
    """One side of a channel. `names` are functions that the other side may ask for by name (None: none at all), with
    their attributes and items; without names only functions that were handed over may be called."""

    def __init__(self, fd, names=None):
        self.fd, self.names = fd, names
        self.mine, self.numbers, self.calls, self.gone, self.gave_nan = {}, {}, 0, False, False
        self.scope, self.shared_names = {}, ()

    def shared(self):
        """The classes of the setup as this side has them now."""
        found = {}
        for name in self.shared_names:
            value = self.scope.get(name)
            if isinstance(value, type) and value.__module__ == self.scope["__name__"]:
                found[value] = name
        return found

    def keep(self, value):
        if type(value) is Remote:
            return '{"$o":%d}' % object.__getattribute__(value, "_number")
        if self.names is None and not issubclass(type(value), FUNCTIONS):
            return None
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.mine)
            self.mine[number] = value
        return '{"$h":%d}' % number

    def reference(self, tag, number):
        if tag == "$o":
            return self.mine[number]
        if tag == "$h":
            return Remote(self, int(number))
        if tag == "$n":
            return self.made(*number)
        raise NotPlain("unknown tag")

    def made(self, name, state):
        """An object from its state, without its __init__."""
        kind = {name: kind for kind, name in self.shared().items()}[name]
        if issubclass(kind, tuple):
            return tuple.__new__(kind, state)
        value = kind.__new__(kind)
        value.__dict__.update(state)
        return value

    def send(self, *message):
        write_frame(self.fd, encode(list(message), self.keep, self.shared()))

    def receive(self):
        (length,) = struct.unpack(">I", read_exactly(self.fd, 4))
        if length > MOST_FRAME:
            raise Gone()
        return decode(read_exactly(self.fd, length), self.reference, self.real)

    def real(self, text):
        value = float(text)
        if self.names is not None or value == value:
            return value
        self.gave_nan = True
        return Nan(value)

    def ask(self, *message):
        """Sends a request and returns its value; serves what the other side asks meanwhile."""
        try:
            self.calls += 1
            self.send(*message)
            while True:
                reply = self.receive()
                if reply[0] == "ok":
                    return reply[1]
                if reply[0] == "raise":
                    break
                self.serve(reply)
        except Gone:
            self.gone = True
            raise
        kind = getattr(builtins, str(reply[1]), None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, UnicodeError):
            kind = RuntimeError
        raise kind(str(reply[2]))

    def find(self, name):
        scope, rest = self.names, name.split(".")
        if rest[0] not in scope and "Solution" in scope and len(rest) == 1:
            return getattr(scope["Solution"](), rest[0])
        value = scope[rest[0]]
        for part in rest[1:]:
            value = getattr(value() if isinstance(value, type) else value, part)
        return value

    def work(self, what, target, *rest):
        if type(target) is str:
            if self.names is None:
                raise PermissionError(target)
            target = self.find(target)
        if what == "call":
            return target(*rest[0], **rest[1])
        if self.names is None:
            raise PermissionError(what)
        if what == "get":
            return getattr(target, rest[0])
        if what == "set":
            return setattr(target, rest[0], rest[1])
        if what == "item":
            return target[rest[0]]
        if what == "list":
            return [x for _, x in zip(range(1000000), target)]
        return {"len": len, "str": str}[what](target)

    def serve(self, request):
        try:
            reply = encode(["ok", self.work(*request)], self.keep, self.shared())
        except Exception as e:
            reply = encode(["raise", type(e).__name__, str(e)[:2000]])
        write_frame(self.fd, reply)


class Remote:
    """An object of the other side. It can be called, read and handed back; it cannot be compared or taken for true."""

    __slots__ = ("_peer", "_number")

    def __init__(self, peer, number):
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_number", number)

    def _ask(self, what, *rest):
        return object.__getattribute__(self, "_peer").ask(what, self, *rest)

    def __call__(self, *args, **kwargs):
        return Remote._ask(self, "call", list(args), kwargs)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Remote._ask(self, "get", name)

    def __setattr__(self, name, value):
        Remote._ask(self, "set", name, value)

    def __getitem__(self, key):
        return Remote._ask(self, "item", key)

    def __iter__(self):
        return iter(Remote._ask(self, "list"))

    def __len__(self):
        return Remote._ask(self, "len")

    def __str__(self):
        return str(Remote._ask(self, "str"))

    def _refuse(self, *_):
        raise TypeError("an object of the program cannot be compared; return plain data")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _refuse
    __hash__ = object.__hash__


# What the harnesses of LiveCodeBench, APPS and prime_code import before a program, without numpy.
STARS = "string re datetime collections heapq bisect copy math random statistics itertools functools operator io json typing"
PRELUDE = {}
for module in STARS.split():
    exec("from %s import *" % module, PRELUDE)
for module in STARS.split() + ["sys", "time", "fractions"]:
    exec("import %s" % module, PRELUDE)
del PRELUDE["__builtins__"], module


def import_prelude():
    """Makes those names known everywhere. As built-in ones, so that no function of a program is mistaken for one of them."""
    for names in (PRELUDE, {name: value for name, value in vars(sys).items() if not name.startswith("_")}):
        for name, value in names.items():
            builtins.__dict__.setdefault(name, value)
    sys.setrecursionlimit(50000)


PROGRAM = "/box/main.py"


def load_program(setup=b""):
    """Runs the model's program as a module that is not __main__; its names.

    The tests' setup is of the same module: each may need names of the other. It is run before the program, as far as it
    can be, and after it where that failed or where the program took one of its names."""
    import types

    module = types.ModuleType("solution")
    module.__file__ = PROGRAM
    sys.modules["solution"] = module
    ran = run_setup(setup, module.__dict__)
    before = dict(module.__dict__)
    with open(PROGRAM, "rb") as f:
        code = compile(f.read(), PROGRAM, "exec")
    exec(code, module.__dict__)
    if not ran or any(module.__dict__.get(name) is not value for name, value in before.items()):
        run_setup(setup, module.__dict__)
    return module.__dict__


def run_setup(setup, names):
    try:
        exec(compile(setup, "setup", "exec"), names)
    except Exception:
        return False  # the tests' own process says what is wrong with it
    return True


def long_integers():
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)


def read_input():
    parts = []
    while True:
        part = os.read(0, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


def answer(answer_fd):
    long_integers()
    request = decode(read_input())
    peer = Peer(-1, load_program())
    args = request["args"]
    if request.get("keys") and args and type(args[0]) is dict:
        try:
            args[0] = {int(k): v for k, v in args[0].items()}
        except (TypeError, ValueError):
            pass
    value = peer.find(request["entry"])(*args, **request.get("kwargs", {}))
    write_frame(answer_fd, encode(value))


def split_setup(setup):
    """Takes the plain classes out of the setup: their objects live where the program can use and change them. Classes that
    say what is equal, or that have a base or a decorator, stay, since the tests may compare; their objects go as their
    state. The names of both."""
    taken, shared = [], []
    for node in list(setup.body):
        if isinstance(node, ast.Assign):
            shared += [target.id for target in node.targets if isinstance(target, ast.Name)]
        if not isinstance(node, ast.ClassDef):
            continue
        compares = any(isinstance(part, ast.FunctionDef) and part.name == "__eq__" for part in node.body)
        if compares or node.bases or node.keywords or node.decorator_list:
            shared.append(node.name)
        else:
            setup.body.remove(node)
            taken.append(node.name)
    return taken, shared


def serve(channel, setup):
    long_integers()
    peer = Peer(channel, load_program(setup))
    peer.scope = peer.names
    try:
        _, peer.shared_names = split_setup(ast.parse(setup))
    except Exception:
        pass  # run_setup could not run it either
    try:
        while True:
            peer.serve(peer.receive())
    except Gone:
        pass
