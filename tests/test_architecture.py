"""The structure of the package: which module may import which."""

import ast
from pathlib import Path

import pytest

import lstm_zoo
from lstm_zoo import families

PACKAGE = Path(lstm_zoo.__file__).parent
# From the bottom up: a module may import those of lower layers, and of its own folder.
LAYERS = [
    {"errors", "compat", "printing"},
    {"__init__"},  # it reaches the others by their names alone
    {"files"},
    {"settings"},
    {"families"},
    {"data", "recurrent"},
    {"text"},
    {"runs"},
    {"export", "training"},
    {"pipeline"},
    {"runtime"},
    {"sentiment", "speech", "translation"},
    {"cli"},
    {"__main__"},
]


def imports_of(path):
    """List the modules of this package that a file imports, at its top or inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lstm_zoo":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("lstm_zoo")}
    return {resolved(name) for name in found}


def resolved(name):
    """Return the module that a dotted name is of, or in."""
    parts = name.split(".")
    while len(parts) > 1:
        place = PACKAGE.joinpath(*parts[1:])
        if place.with_suffix(".py").is_file() or (place / "__init__.py").is_file():
            return ".".join(parts)
        parts.pop()
    return "lstm_zoo.__init__"


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


GRAPH = {module_of(path): imports_of(path) for path in PACKAGE.rglob("*.py")}


def folder(module):
    return module.split(".")[1]


def layer(module):
    (number,) = (n for n, folders in enumerate(LAYERS) if folder(module) in folders)
    return number


def test_the_top_level_is_small_and_every_folder_has_a_layer():
    assert len(list(PACKAGE.glob("*.py"))) <= 10
    assert {folder(module) for module in GRAPH} == set().union(*LAYERS)


@pytest.mark.parametrize("module", sorted(GRAPH))
def test_imports_go_down_or_stay_in_their_folder(module):
    for imported in GRAPH[module]:
        assert folder(imported) == folder(module) or layer(imported) < layer(module), imported


def test_no_module_imports_itself_by_way_of_others():
    done, path = set(), []

    def visit(module):
        assert module not in path, " → ".join([*path, module])
        if module in done:
            return
        path.append(module)
        # A package's __init__ is imported before what is in it.
        for imported in sorted(GRAPH.get(module, ())):
            visit(imported)
        path.pop()
        done.add(module)

    for module in GRAPH:
        visit(module)


def test_a_family_is_reached_by_its_name_alone():
    """No family imports another, and no shared module a family: the registry does."""
    for module, imported in GRAPH.items():
        for name in imported:
            assert folder(name) not in families.FAMILIES or folder(name) == folder(module), module
