"""The definitions of a package's sources, and which others each of them refers to.

Sources are read, not imported.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from poselib.experiments.module_source import (
    FUNCTIONS,
    Place,
    Source,
    all_imports,
    form_of,
    imports_of,
    read_source,
)

# Mappings, such as that of all systems by their names, of which only some entries count: those
# whose key, or the first part of it, is among the texts.
Chosen = Mapping[Place, frozenset[str]]


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
        not_called: Collection[tuple[str, str]] = (),
    ) -> set[Place]:
        """Return all definitions that some refer to, directly or through others, and these.

        Args:
            roots: where to start.
            excluded: modules, or packages of modules, that are not entered.
            chosen: see ``Chosen``.
            instead: definitions that stand for others.
            not_called: pairs of packages; functions of the second that the first refers to are
                not entered from there. Classes are: they may hold options and defaults.
        """
        beside, other = tuple(excluded), instead or {}
        found: set[Place] = set()
        waiting = list(roots)
        while waiting:
            place = waiting.pop()
            place = other.get(place, place)
            if place in found or any(_within(place[0], each) for each in beside):
                continue
            found.add(place)
            closed = [second for first, second in not_called if _within(place[0], first)]
            for each in self.references(place, chosen):
                if not (self._is_function(each) and any(_within(each[0], c) for c in closed)):
                    waiting.append(each)
        return found

    def _is_function(self, place: Place) -> bool:
        module, name = place
        return bool(name) and isinstance(self.source(module).definitions[name][0], FUNCTIONS)

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
        scope = {**source.imports, **imports_of(all_imports(tree))}
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


def _dump(statements: Iterable[ast.stmt]) -> str:
    return "\n".join(map(form_of, statements))


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
