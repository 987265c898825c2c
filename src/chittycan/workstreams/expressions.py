"""The language between `${` and `}`: names, comparisons, and/or/not, len() and lower(). No code is ever run.

Python's own parser makes the tree; only the nodes listed here are let through. Values are JSON values.
"""

import ast
import keyword
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

LONGEST = 1000  # characters of an expression

CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}

_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SIGNS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
          ast.NotIn: "not in"}  # fmt: skip
_ALLOWED = (ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.Name,
            ast.Attribute, ast.Subscript, ast.Constant, ast.List, ast.Tuple, ast.Call, ast.Load, *_SIGNS)  # fmt: skip
FUNCTIONS = ("len", "lower")

# Python's keywords are good keys (`mail.from`): marked on their way through its parser by a letter nobody writes.
_MARK = "ǀ"
_KEYWORD_KEY = re.compile(rf"""('[^']*'|"[^"]*")|\.(?=(?:{"|".join(keyword.kwlist)})\b)""")


class ExpressionError(ValueError):
    """Fit to be shown to whoever wrote the recipe."""


class Nothing:
    """The value of what was never made: a step that was skipped. It is null, and so is everything in it."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "null"


NOTHING = Nothing()


class Lenient(dict[str, Any]):
    """An object whose missing keys are nothing, at every depth: the session's context, which comes to be."""


class Expression:
    """A checked expression. `references`: each name with the keys after it, as `("review", ("json", "risk"))`."""

    def __init__(self, text: str, tree: ast.expr) -> None:
        self.text = text
        self._tree = tree
        self.references = tuple(_references(tree))
        self.plain = isinstance(tree, ast.Name | ast.Attribute | ast.Subscript)

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The JSON value. Raises ExpressionError where a name, key or kind of value does not fit."""
        return _plain(_value(self._tree, scope))


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Raises ExpressionError with the reason."""
    text = " ".join(text.split("\n")).strip()
    if not text:
        raise ExpressionError("the expression is empty")
    if len(text) > LONGEST:
        raise ExpressionError(f"the expression is longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = ast.parse(_KEYWORD_KEY.sub(lambda found: found[1] or f".{_MARK}", text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError, Warning):
        hint = "; compare with ==" if "=" in text.replace("==", "").replace("!=", "").replace("<=", "") else ""
        raise ExpressionError(f"cannot be read: {_short(text)}{hint}") from None
    for node in ast.walk(tree):
        _check(node)
    return Expression(text, tree)


def _check(node: ast.AST) -> None:
    if not isinstance(node, _ALLOWED):
        shown = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
        known = "names, literals, == != < <= > >= in, and, or, not, len(), lower()"
        raise ExpressionError(f"{_short(shown)} is not part of the language, which has {known}")
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | bool | None):
        raise ExpressionError(f"{_shown(node)} is no JSON value")
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
            shown = _short(ast.unparse(node.func))
            raise ExpressionError(f"there is no function {shown}(); there are {', '.join(FUNCTIONS)}")
        if len(node.args) != 1 or node.keywords:
            raise ExpressionError(f"{node.func.id}() takes one value")


def _references(node: ast.AST) -> Iterator[tuple[str, tuple[Any, ...]]]:
    keys: list[Any] = []
    inner = node
    while isinstance(inner, ast.Attribute | ast.Subscript):
        if isinstance(inner, ast.Attribute):
            keys.append(inner.attr.removeprefix(_MARK))
        else:
            keys.append(inner.slice.value if isinstance(inner.slice, ast.Constant) else None)
            yield from _references(inner.slice)
        inner = inner.value
    if isinstance(inner, ast.Name):
        if inner.id not in CONSTANTS:
            yield inner.id, tuple(reversed(keys))
    elif isinstance(inner, ast.Call):
        yield from _references(inner.args[0])
    else:
        for child in ast.iter_child_nodes(inner):
            yield from _references(child)


def _value(node: ast.AST, scope: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return CONSTANTS[node.id] if node.id in CONSTANTS else _named(node.id, scope)
        case ast.Attribute():
            return _item(_value(node.value, scope), node.attr.removeprefix(_MARK), node.value)
        case ast.Subscript():
            return _item(_value(node.value, scope), _value(node.slice, scope), node.value)
        case ast.List() | ast.Tuple():
            return [_value(entry, scope) for entry in node.elts]
        case ast.BoolOp():
            return _logic(node, scope)
        case ast.UnaryOp():
            return _unary(node, scope)
        case ast.Compare():
            return _comparison(node, scope)
        case ast.Call(func=ast.Name(id=name)):
            return _call(name, _plain(_value(node.args[0], scope)))
    raise ExpressionError(f"{type(node).__name__} is not part of the language")


def _named(name: str, scope: Mapping[str, Any]) -> Any:
    if name not in scope:
        raise ExpressionError(f"there is nothing called {name!r} here{nearest(name, scope)}")
    return scope[name]


def _item(value: Any, key: Any, node: ast.AST) -> Any:
    if value is NOTHING:
        return NOTHING
    if isinstance(value, Mapping):
        if isinstance(value, Lenient):
            found = value.get(key, NOTHING) if isinstance(key, str) else NOTHING
            return Lenient(found) if isinstance(found, dict) else NOTHING if found is None else found
        if not isinstance(key, str) or key not in value:
            raise ExpressionError(f"{_shown(node)} has no {key!r}{nearest(key, value)}")
        return value[key]
    if isinstance(value, list | tuple) and isinstance(key, int) and not isinstance(key, bool):
        if not -len(value) <= key < len(value):
            raise ExpressionError(f"{_shown(node)} has {len(value)} entries, so no [{key}]")
        return value[key]
    raise ExpressionError(f"{_shown(node)} is {kind(value)}, so it has no {key!r}")


def _logic(node: ast.BoolOp, scope: Mapping[str, Any]) -> Any:
    value: Any = None
    for each in node.values:
        value = _value(each, scope)
        if bool(value) is isinstance(node.op, ast.Or):
            break
    return value


def _unary(node: ast.UnaryOp, scope: Mapping[str, Any]) -> Any:
    value = _plain(_value(node.operand, scope))
    if isinstance(node.op, ast.Not):
        return not value
    if not _number(value):
        raise ExpressionError(f"-{_short(ast.unparse(node.operand))}: {kind(value)} has no negative")
    return -value


def _comparison(node: ast.Compare, scope: Mapping[str, Any]) -> bool:
    left = _plain(_value(node.left, scope))
    for sign, other in zip(node.ops, node.comparators, strict=True):
        right = _plain(_value(other, scope))
        if not _holds(sign, left, right):
            return False
        left = right
    return True


def _holds(sign: ast.cmpop, left: Any, right: Any) -> bool:
    if isinstance(sign, ast.Eq | ast.NotEq):
        return _same(left, right) is isinstance(sign, ast.Eq)
    if isinstance(sign, ast.In | ast.NotIn):
        return _within(left, right) is isinstance(sign, ast.In)
    if not ((_number(left) and _number(right)) or (isinstance(left, str) and isinstance(right, str))):
        raise ExpressionError(f"{kind(left)} {_SIGNS[type(sign)]} {kind(right)} cannot be said; compare like with like")
    return bool(_ORDER[type(sign)](left, right))


def _same(left: Any, right: Any) -> bool:
    """JSON's equality: true is not 1."""
    return bool(left == right) and isinstance(left, bool) is isinstance(right, bool)


def _within(left: Any, right: Any) -> bool:
    if isinstance(right, str):
        return isinstance(left, str) and left in right
    if isinstance(right, Mapping):
        return isinstance(left, str) and left in right
    if isinstance(right, Sequence):
        return any(_same(left, each) for each in right)
    raise ExpressionError(f"nothing can be in {kind(right)}; `in` needs a list, an object or text")


def _call(name: str, value: Any) -> Any:
    if name == "len":
        if value is None:
            return 0
        if not isinstance(value, str | Mapping | Sequence):
            raise ExpressionError(f"len() of {kind(value)}; it needs a list, an object or text")
        return len(value)
    if not isinstance(value, str):
        raise ExpressionError(f"lower() of {kind(value)}; it needs text")
    return value.lower()


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if value is NOTHING:
        return None
    return [_plain(each) for each in value] if isinstance(value, list) else value


def kind(value: Any) -> str:
    """What a person calls this JSON value."""
    if value is None or value is NOTHING:
        return "null"
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "an object" if isinstance(value, Mapping) else "a list"


def nearest(name: Any, known: Mapping[str, Any] | Sequence[str]) -> str:
    """`; did you mean …?`, or what there is."""
    names = [str(each) for each in known]
    if close := get_close_matches(str(name), names, 1):
        return f"; did you mean {close[0]!r}?"
    if not names:
        return ""
    return f"; there is {', '.join(names[:8])}{', …' if len(names) > 8 else ''}"


def _shown(node: ast.AST) -> str:
    return _short(ast.unparse(node))


def _short(text: str) -> str:
    text = text.replace(_MARK, "")
    return text if len(text) <= 60 else text[:57] + "…"
