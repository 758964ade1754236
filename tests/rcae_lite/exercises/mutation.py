"""Small changes of a solution, one at a time: what a student may have written instead."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator

NAMES = {  # one for the other, both ways
    "any": "all",
    "mean": "sum",
    "amax": "amin",
    "max": "min",
    "argmax": "argmin",
    "zeros": "ones",
    "zeros_like": "ones_like",
    "floor": "ceil",
    "log": "log10",
    "maximum": "minimum",
    "True": "False",
}
NAMES |= {b: a for a, b in NAMES.items()}
WRAPPERS = {"abs", "sqrt", "clone", "copy", "deepcopy", "exp", "sigmoid", "log", "relu", "gelu"}
WRAPPERS |= {"square", "sorted", "reversed", "flip", "set", "int", "round", "contiguous"}
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip


def changes_of(node: ast.AST) -> Iterator[ast.AST]:
    """Give what may stand in the place of an expression."""
    if isinstance(node, ast.Compare):
        for kind in COMPARISONS.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [kind(), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BinOp):
        if type(node.op) in OPERATORS:
            yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
        yield from (node.left, node.right)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        yield from node.values
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load):
        if len(node.elts) > 1:
            yield type(node)([*node.elts[1:], node.elts[0]], ast.Load())
    elif isinstance(node, ast.Slice) and (node.lower or node.upper or node.step):
        for left_out in ("lower", "upper", "step"):
            if getattr(node, left_out):
                yield ast.Slice(
                    **{
                        part: None if part == left_out else getattr(node, part)
                        for part in ("lower", "upper", "step")
                    }
                )
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield ast.comprehension(node.target, node.iter, [], node.is_async)


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    method = isinstance(node.func, ast.Attribute)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in NAMES:
        function = copy.deepcopy(node.func)
        if isinstance(function, ast.Attribute):
            function.attr = NAMES[name]
        else:
            function = ast.Name(NAMES[name], ast.Load())
        yield ast.Call(function, node.args, node.keywords)
    if name in WRAPPERS:
        yield node.args[0] if node.args else getattr(node.func, "value", node)
        if method and node.args and not isinstance(node.args[0], ast.Constant):
            yield node.args[0]
    for keyword in node.keywords:
        yield ast.Call(node.func, node.args, [k for k in node.keywords if k is not keyword])
    if name == "range":
        *first, last = node.args
        yield ast.Call(node.func, [*first, ast.BinOp(last, ast.Sub(), ast.Constant(1))], [])
        yield ast.Call(node.func, [*first, ast.BinOp(last, ast.Add(), ast.Constant(1))], [])
    if len(node.args) > 1:
        yield ast.Call(node.func, [*node.args[1:], node.args[0]], node.keywords)


class _Replace(ast.NodeTransformer):
    """Puts another node in the place of one that is found by its number."""

    def __init__(self, number: int, by: ast.AST | None) -> None:
        self.left, self.by = number, by

    def visit(self, node: ast.AST) -> ast.AST | None:
        self.left -= 1
        return self.by if self.left == -1 else super().visit(node)


def _numbered(tree: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []

    class Walk(ast.NodeVisitor):
        def visit(self, node: ast.AST) -> None:
            found.append(node)
            self.generic_visit(node)

    Walk().visit(tree)
    return found


def mutants(definition: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    """Give every change of a function or class, and what it changed in words."""
    for number, node in enumerate(_numbered(definition)):
        before = "" if isinstance(node, ast.comprehension) else ast.unparse(node)
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)) and not _is_text(node):
            yield (
                f"without `{before}`",
                _Replace(number, ast.Pass()).visit(copy.deepcopy(definition)),
            )
            continue
        for other in changes_of(node):
            by = copy.deepcopy(other)
            after = (
                ""
                if isinstance(by, ast.comprehension)
                else ast.unparse(ast.fix_missing_locations(by))
            )
            changed = _Replace(number, by).visit(copy.deepcopy(definition))
            yield f"`{after}` for `{before}`", ast.fix_missing_locations(changed)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def compiled(source: str, definition: ast.stmt, name: str) -> Callable:
    """Run a solution's file with one definition replaced; return what it defines."""
    tree = ast.parse(source)
    tree.body = [
        definition if getattr(node, "name", None) == name else node
        for node in tree.body
        if "check(" not in ast.unparse(node)
    ]
    namespace: dict = {}
    exec(compile(ast.fix_missing_locations(tree), "<mutant>", "exec"), namespace)
    return namespace[name]
