"""The reference: a page for each loader file, made from its docstrings when the site is built.

The files are parsed and never imported: that needs Salt, and an import could hide a function. And
in all pages the name of a function, as ``dockerstorage.prune``, becomes a link to its description.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
#: Directory of loader files, and what its page is called.
KINDS = {
    "modules": "Execution module {}",
    "states": "States {}",
    "beacons": "Beacon {}",
    "runners": "Runner {}",
}
#: Salt calls the functions of a beacon, nobody else does.
WITHOUT_FUNCTIONS = ("beacons",)
GENERATED = "reference/_generated"
NAME = re.compile(r"(?P<file>\w+)\.(?P<function>[a-z]\w*)(?:[ =].*)?", re.DOTALL)


@dataclass(frozen=True)
class Function:
    """A public function by the name that Salt knows it by."""

    name: str
    arguments: str
    text: str


@dataclass(frozen=True)
class LoaderFile:
    """A file of the extension: kind of loader, name, docstring, functions in their order."""

    kind: str
    name: str
    text: str
    functions: tuple[Function, ...]

    @property
    def page(self) -> str:
        return f"{GENERATED}/{self.kind}-{self.name}"

    def anchor(self, function: str) -> str:
        """The anchor of a function on the page."""
        return f"{self.kind}-{self.name}-{function}".replace("_", "-")


@cache
def loader_files(root: Path = ROOT) -> tuple[LoaderFile, ...]:
    """All loader files of the extension."""
    return tuple(
        read(path, kind) for kind in KINDS for path in sorted((root / f"_{kind}").glob("[!_]*.py"))
    )


def read(path: Path, kind: str) -> LoaderFile:
    """A loader file with its public functions."""
    tree = ast.parse(path.read_text())
    found = () if kind in WITHOUT_FUNCTIONS else tuple(_functions(tree))
    return LoaderFile(kind, path.stem, _docstring(tree), found)


def _functions(tree: ast.Module) -> Iterator[Function]:
    aliases: dict[str, str] = _constant(tree, "__func_alias__") or {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            name = aliases.get(node.name, node.name)
            yield Function(name, ast.unparse(node.args), _docstring(node))


def _constant(tree: ast.Module, name: str) -> Any:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    return None


def _docstring(node: ast.Module | ast.FunctionDef) -> str:
    return ast.get_docstring(node) or ""


def page(file: LoaderFile) -> str:
    """The page of a loader file, in reStructuredText as the docstrings are."""
    title = KINDS[file.kind].format(file.name)
    lines = [title, "=" * len(title), "", _without_title(file.text), ""]
    for one in file.functions:
        lines += [f".. _{file.anchor(one.name)}:", "", one.name, "-" * len(one.name), ""]
        lines += [f".. py:function:: {file.name}.{one.name}({one.arguments})", "   :no-index:", ""]
        lines += [*(f"   {line}".rstrip() for line in inspect.cleandoc(one.text).splitlines()), ""]
    return "\n".join(lines)


def _without_title(text: str) -> str:
    """A module's docstring; its title becomes the first sentence."""
    return re.sub(r"\A(.+)\n=+$", r"*\1.*", text, flags=re.MULTILINE)


def write_pages(app: Any) -> None:
    """Write all pages below the source directory; one that has not changed stays as it is."""
    folder = Path(app.srcdir, GENERATED)
    folder.mkdir(exist_ok=True)
    pages = {Path(app.srcdir, f"{file.page}.rst"): page(file) for file in loader_files()}
    for path in set(folder.iterdir()) - set(pages):
        path.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def link_functions(app: Any, doctree: nodes.document, docname: str) -> None:
    """Make each literal that is a function's name, or a call of one, a link to its description."""
    files = {(one.kind, one.name): one for one in loader_files()}
    for literal in list(doctree.findall(nodes.literal)):
        found = _target(files, literal)
        if found is None or isinstance(literal.parent, (nodes.reference, nodes.title)):
            continue
        file, function = found
        uri = app.builder.get_relative_uri(docname, file.page)
        link = nodes.reference("", "", refuri=f"{uri}#{file.anchor(function)}", internal=True)
        literal.replace_self(link)
        link += literal


def _target(
    files: dict[tuple[str, str], LoaderFile], literal: nodes.literal
) -> tuple[LoaderFile, str] | None:
    text = literal.astext()
    match = NAME.fullmatch(text.removeprefix("salt-run "))
    if match is None:
        return None
    kinds = ["modules", "states", "runners"]
    before = literal.parent[: literal.parent.index(literal)]
    if before and re.search(r"\bstates?\s*$", before[-1].astext()):
        kinds.sort(key=lambda kind: kind != "states")
    if text.startswith("salt-run "):
        kinds = ["runners"]
    for kind in kinds:
        file = files.get((kind, match["file"]))
        if file is not None and match["function"] in {one.name for one in file.functions}:
            return file, match["function"]
    return None


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("doctree-resolved", link_functions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
