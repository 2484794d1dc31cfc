"""Holding a stage type proves that its check was made, because one module alone constructs it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

GATEWAY = Path(__file__).parents[1] / "gateway"
MADE_IN = {
    "Envelope": "soap/envelope.py",
    "Verified": "wss/verify.py",
    "Caller": "identity/authority.py",
    "Request": "agreement/admit.py",
    "Permitted": "policy/decide.py",
    "Answer": "agreement/answer.py",
    "Released": "policy/view.py",
    "Refused": "broker/exchange.py",
    "Accepted": "policy/notify.py",
    "Dispatch": "policy/dispatch.py",
}


def calls(tree: ast.AST) -> Iterator[str]:
    """Names that are called in a module, by whatever way the module reaches the class."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "gateway.model":
            aliases |= {name.asname or name.name: name.name for name in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in aliases:
                yield aliases[name]
            case ast.Attribute(value=ast.Name(id="model"), attr=name):
                yield name


def replaced(tree: ast.AST) -> Iterator[str]:
    """Calls of `replace`, of dataclasses or of msgspec, which makes a second value without the check."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Name(id="replace") | ast.Attribute(value=ast.Name(id="structs"), attr="replace")
            ):
                yield ast.unparse(node)


@cache
def constructions() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in GATEWAY.rglob("*.py"):
        for name in calls(ast.parse(path.read_text())):
            found[name].add(path.relative_to(GATEWAY).as_posix())
    return found


@pytest.mark.parametrize("stage", MADE_IN)
def test_a_stage_type_is_constructed_in_one_module_only(stage: str):
    assert constructions()[stage] == {MADE_IN[stage]}


@pytest.mark.parametrize("module", MADE_IN.values())
def test_no_module_of_the_path_copies_a_stage_with_changes(module: str):
    assert not list(replaced(ast.parse((GATEWAY / module).read_text())))


def test_the_docstring_of_each_stage_type_names_its_module():
    tree = ast.parse((GATEWAY / "model.py").read_text())
    classes = {
        node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.ClassDef)
    }
    for stage, path in MADE_IN.items():
        package, _, module = path.removesuffix(".py").partition("/")
        assert (
            f"Made by `{package}`" in classes[stage] or f"Made by `{package}.{module}`" in classes[stage]
        ), stage


def test_the_search_sees_through_an_alias():
    tree = ast.parse(
        "from gateway.model import Caller as C\nfrom gateway import model\nC(1)\nmodel.Verified(2)"
    )
    assert list(calls(tree)) == ["Caller", "Verified"]
