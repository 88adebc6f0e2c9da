"""The top level of a module as its source defines it, in a normalized form.

Comments, docstrings, type hints and formatting do not count: they change nothing that is computed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

# A module and the name of a definition in it. The empty name is the module itself: what it does
# when it is imported.
Place = tuple[str, str]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ASSIGNED = (ast.Assign, ast.AnnAssign, ast.AugAssign)


@dataclass
class Source:
    """The top level of a module.

    Attributes:
        module: its full name.
        definitions: by name, the statements that define it.
        imports: by the name they have here, what is imported.
        rest: all other statements.
    """

    module: str
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Place] = field(default_factory=dict)
    rest: list[ast.stmt] = field(default_factory=list)


def read_source(module: str, text: str) -> Source:
    """Read the top level of a module from its text.

    Raises:
        ValueError: it is not Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ValueError(f"{module} is not Python: {error}") from error
    found = Source(module)
    for statement in _Normalized().visit(tree).body:
        if isinstance(statement, ast.Import | ast.ImportFrom) or _for_types(statement):
            found.imports |= imports_of(all_imports(statement))
        elif names := _names(statement):
            for name in names:
                found.definitions.setdefault(name, []).append(statement)
        else:
            found.imports |= imports_of(all_imports(statement))
            found.rest.append(statement)
    return found


class _Normalized(ast.NodeTransformer):
    """Takes away what does not change what code computes."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)  # a field of a dataclass stays one
        return self.generic_visit(node)


def _names(statement: ast.stmt) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
        return [statement.name]
    if not isinstance(statement, _ASSIGNED):
        return []
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    nodes = [node for target in targets for node in ast.walk(target)]
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def _for_types(statement: ast.stmt) -> bool:
    test = statement.test if isinstance(statement, ast.If) else None
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def all_imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Return the imports anywhere in a tree."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def imports_of(nodes: Iterable[ast.Import | ast.ImportFrom]) -> dict[str, Place]:
    """Return what imports import, by the name that it has there."""
    found: dict[str, Place] = {}
    for node in nodes:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                found[alias.asname or alias.name] = (node.module or "", alias.name)
            elif alias.asname:
                found[alias.asname] = (alias.name, "")
            else:
                top = alias.name.partition(".")[0]
                found[top] = (top, "")
    return found


def form_of(node: Any) -> str:
    """Return code as text that is the same in all versions of Python: without absent parts."""
    if isinstance(node, ast.AST):
        parts = ((name, getattr(node, name, None)) for name in node._fields)
        stated = (f"{k}={form_of(v)}" for k, v in parts if v is not None and v != [])
        return f"{type(node).__name__}({', '.join(stated)})"
    return f"[{', '.join(map(form_of, node))}]" if isinstance(node, list) else repr(node)
