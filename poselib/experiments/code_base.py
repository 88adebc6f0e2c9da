"""The definitions of a package's sources, and which others each of them refers to.

Sources are read, not imported. Of a definition its normalized form counts: comments, docstrings,
type hints and formatting do not.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# A module and the name of a definition in it. The empty name is the module itself: what it does
# when it is imported.
Place = tuple[str, str]
# Mappings, such as that of all systems by their names, of which only some entries count: those
# whose key, or the first part of it, is among the texts.
Chosen = Mapping[Place, frozenset[str]]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
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


class CodeBase:
    """The sources of a package, each read once.

    Args:
        folder: of the package, whose name is that of the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sources: dict[str, Source] = {}
        self._referred: dict[Place, frozenset[Place]] = {}
        self._forms: dict[Place, str] = {}

    def reached(
        self,
        roots: Iterable[Place],
        excluded: Iterable[str] = (),
        chosen: Chosen | None = None,
        instead: Mapping[Place, Place] | None = None,
        apart: Collection[tuple[str, str]] = (),
    ) -> set[Place]:
        """Return all definitions that some refer to, directly or through others, and these.

        Args:
            roots: where to start.
            excluded: modules, or packages of modules, that are not entered.
            chosen: see ``Chosen``.
            instead: definitions that stand for others.
            apart: pairs of packages; what the first one refers to in the second is not followed.
        """
        beside, other, found, waiting = tuple(excluded), instead or {}, set[Place](), list(roots)
        while waiting:
            place = waiting.pop()
            place = other.get(place, place)
            if place in found or any(_within(place[0], each) for each in beside):
                continue
            found.add(place)
            into = [second for first, second in apart if _within(place[0], first)]
            referred = self.references(place, chosen)
            waiting += [r for r in referred if not any(_within(r[0], each) for each in into)]
        return found

    def references(self, place: Place, chosen: Chosen | None = None) -> frozenset[Place]:
        """Return what a definition refers to, and the module itself, which its import executes."""
        if chosen and place in chosen:
            return self._references(place, chosen[place])
        if place not in self._referred:
            self._referred[place] = self._references(place)
        return self._referred[place]

    def form(self, place: Place, chosen: Chosen | None = None) -> str:
        """Return the normalized form of a definition."""
        if chosen and place in chosen:
            return _dump(self._statements(place, chosen[place]))
        if place not in self._forms:
            self._forms[place] = _dump(self._statements(place))
        return self._forms[place]

    def uses(self, tree: ast.AST, source: Source) -> set[Place]:
        """Return the definitions that a piece of code of a module refers to."""
        scope = {**source.imports, **_imports(_all_imports(tree))}
        found = set()
        for first, *rest in _chains(tree):
            if first in source.definitions:
                found.add((source.module, first))
            elif first in scope and (place := self._follow(scope[first], rest)) is not None:
                found.add(place)
        return found

    def source(self, module: str) -> Source:
        """Return the top level of a module of the package.

        Raises:
            FileNotFoundError: there is no such module.
            ValueError: it is not Python.
        """
        if module not in self._sources:
            file = self.file(module)
            if file is None:
                raise FileNotFoundError(f"{self._folder} has no module {module}")
            self._sources[module] = read_source(module, file.read_text(encoding="utf-8"))
        return self._sources[module]

    def _references(self, place: Place, texts: frozenset[str] | None = None) -> frozenset[Place]:
        module, name = place
        source = self.source(module)
        found = {(module, "")} if name else set()
        for statement in self._statements(place, texts):
            found |= self.uses(statement, source)
        return frozenset(found)

    def _statements(self, place: Place, texts: frozenset[str] | None = None) -> list[ast.stmt]:
        module, name = place
        source = self.source(module)
        statements = source.definitions[name] if name else source.rest
        return statements if texts is None else [_only(each, texts) for each in statements]

    def file(self, module: str) -> Path | None:
        """Return the file of a module; None if the package has no such module."""
        first, *parts = module.split(".")
        if first != self._folder.name:
            return None
        path = self._folder.joinpath(*parts)
        files = (path / "__init__.py", path.with_name(f"{path.name}.py"))
        return next((file for file in files if file.is_file()), None)

    def _follow(self, place: Place, rest: Iterable[str]) -> Place | None:
        """Return the definition that a name means, through re-exports; None outside the package."""
        (module, name), names = place, list(rest)
        while self.file(module) is not None:
            if not name:
                if not names:
                    return module, ""
                name = names.pop(0)
            source = self.source(module)
            if name in source.definitions:
                return module, name
            # A package may import its own modules by name.
            if source.imports.get(name, (module, name)) != (module, name):
                module, name = source.imports[name]
            elif self.file(f"{module}.{name}") is not None:
                module, name = f"{module}.{name}", ""
            else:
                return module, ""
        return None


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
            found.imports |= _imports(_all_imports(statement))
        elif names := _names(statement):
            for name in names:
                found.definitions.setdefault(name, []).append(statement)
        else:
            found.imports |= _imports(_all_imports(statement))
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
    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        return [statement.name]
    if not isinstance(statement, _ASSIGNED):
        return []
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    nodes = [node for target in targets for node in ast.walk(target)]
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def _for_types(statement: ast.stmt) -> bool:
    test = statement.test if isinstance(statement, ast.If) else None
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _all_imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def _imports(nodes: Iterable[ast.Import | ast.ImportFrom]) -> dict[str, Place]:
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


def _chains(tree: ast.AST) -> Iterator[list[str]]:
    """Yield all names that are read, each with the attributes that are taken of it."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node, attributes = waiting.pop(), list[str]()
        while isinstance(node, ast.Attribute):
            attributes.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            yield [node.id, *attributes]
        else:
            waiting += ast.iter_child_nodes(node)


def _only(statement: ast.stmt, texts: frozenset[str]) -> ast.stmt:
    """Return the assignment of a mapping with some of its entries."""
    value = getattr(statement, "value", None)
    if not isinstance(value, ast.Dict):
        return statement
    pairs = [
        (key, each)
        for key, each in zip(value.keys, value.values, strict=True)
        if _first_text(key) in texts
    ]
    fewer = copy.copy(statement)
    fewer.value = ast.Dict([key for key, _ in pairs], [each for _, each in pairs])  # type: ignore[attr-defined]
    return fewer


def _first_text(key: ast.expr | None) -> object:
    while isinstance(key, ast.Tuple) and key.elts:
        key = key.elts[0]
    return key.value if isinstance(key, ast.Constant) else None


def form_of(node: Any) -> str:
    """Return code as text that is the same in all versions of Python: without absent parts."""
    if isinstance(node, ast.AST):
        parts = ((name, getattr(node, name, None)) for name in node._fields)
        stated = (f"{k}={form_of(v)}" for k, v in parts if v is not None and v != [])
        return f"{type(node).__name__}({', '.join(stated)})"
    return f"[{', '.join(map(form_of, node))}]" if isinstance(node, list) else repr(node)


def _dump(statements: Iterable[ast.stmt]) -> str:
    return "\n".join(map(form_of, statements))


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
