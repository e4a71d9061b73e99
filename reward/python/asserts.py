# asserts.py - a data set's assertions, run where the program cannot reach them. Standard library only.
#
# The functions under test are stubs that ask the program's process (calls.py); assertions are counted one by one, and what
# they compare is plain data.
#
# SPDX-License-Identifier: Apache-2.0
import ast
import builtins
import json
import sys

from calls import Gone, Nan, Peer, long_integers, read_input, split_setup, write_frame


class Stop(BaseException):
    """The first failure, where one is enough."""


class Counter:
    def __init__(self, stop_at_first):
        self.passed = self.failed = 0
        self.stop_at_first = stop_at_first

    def check(self, expression):
        try:
            good = bool(expression())
        except Exception:
            good = False
        self.passed += good
        self.failed += not good
        if not good and self.stop_at_first:
            raise Stop()


class Counted(ast.NodeTransformer):
    """assert X becomes __check__(lambda: X), and x < y becomes __nan__(x) < __nan__(y)."""

    def visit_Compare(self, node):
        self.generic_visit(node)
        if any(isinstance(op, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)) for op in node.ops):
            sides = [ast.Call(ast.Name("__nan__", ast.Load()), [side], []) for side in (node.left, *node.comparators)]
            return ast.copy_location(ast.Compare(sides[0], node.ops, sides[1:]), node)
        return node

    def visit_Assert(self, node):
        self.generic_visit(node)
        no_args = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        call = ast.Call(ast.Name("__check__", ast.Load()), [ast.Lambda(no_args, node.test)], [])
        return ast.copy_location(ast.Expr(call), node)


def free_names(tree, known):
    loaded, stored = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                loaded.setdefault(node.id)
            else:
                stored.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            stored.add(node.name)
        elif isinstance(node, ast.arg):
            stored.add(node.arg)
        elif isinstance(node, ast.alias):
            stored.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            stored.add(node.name)
    return [n for n in loaded if n not in stored and n not in known and not hasattr(builtins, n)]


def first_called(tree):
    """The function on the left of the first assertion: a program may be asked for a function named like a builtin."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            left = node.test.left if isinstance(node.test, ast.Compare) else node.test
            while isinstance(left, ast.UnaryOp):
                left = left.operand
            if isinstance(left, ast.Call) and isinstance(left.func, ast.Name):
                return left.func.id
    return None


def fill(scope, tree, entry, peer):
    """Puts a stub where the tests use a name that only the program can have; imports what they forgot to import."""

    def stub(name):
        return lambda *args, **kwargs: peer.ask("call", name, list(args), kwargs)

    stubs = 0
    for node in list(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module == "solution":
            tree.body.remove(node)
            for alias in node.names:
                scope[alias.asname or alias.name] = stub(alias.name)
                stubs += 1
    if entry:
        scope[entry.split(".")[-1]] = stub(entry)
        stubs += 1
    for name in free_names(tree, scope):
        if name in getattr(sys, "stdlib_module_names", ("sys", "math", "re")):
            scope[name] = __import__(name)
        else:
            scope[name] = stub(name)
            stubs += 1
    if not stubs and first_called(tree):
        scope[first_called(tree)] = stub(first_called(tree))


def run_tests(request, peer, counter):
    def nan(value):
        return Nan(value) if peer.gave_nan and type(value) is float and value != value else value

    scope = {"__name__": "tests", "__check__": counter.check, "__nan__": nan}
    entry = request.get("entry")
    if request.get("prelude"):
        try:
            exec(compile(request["prelude"], "prelude", "exec"), scope)
        except Exception:
            pass  # a prompt need not be whole; what it lacks is asked of the program
    tree, setup = ast.parse(request["test"]), ast.parse(request.get("setup", ""))
    peer.scope, (_, peer.shared_names) = scope, split_setup(setup)
    tree.body[:0] = setup.body
    planned = sum(isinstance(node, ast.Assert) for node in ast.walk(tree))
    fill(scope, tree, entry, peer)
    yield planned
    exec(compile(ast.fix_missing_locations(Counted().visit(tree)), "tests", "exec"), scope)
    if entry and callable(scope.get("check")):
        scope["check"](scope[entry.split(".")[-1]])
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            scope[node.name]()


def test(channel, answer_fd):
    long_integers()
    request = json.loads(read_input())
    peer = Peer(channel)
    counter = Counter(request.get("stop", True))
    report = {"done": False, "planned": 0, "fault": None}
    try:
        for report["planned"] in run_tests(request, peer, counter):
            pass
        report["done"] = True
    except (Stop, Gone):
        pass
    except BaseException as e:
        if peer.calls == 0:
            report["fault"] = "%s: %s" % (type(e).__name__, str(e)[:200])
    report.update(passed=counter.passed, failed=counter.failed, gone=peer.gone, calls=peer.calls)
    write_frame(answer_fd, json.dumps(report))
