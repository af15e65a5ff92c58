"""The handbook tells what is there: functions, events, fields, files, links."""

import ast
import importlib.util
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dockerstorage_lib import alert, jobs, report, watch
from dockerstorage_lib.gather import Site

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TOP_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*TOP_PAGES, *(one for one in DOCS.rglob("*.md") if "_generated" not in one.parts)]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
#: In code marks: paths that begin with a directory of the repository.
PATH = re.compile(r"`((?:_\w+|docs|tests|salt|orch|benchmarks)/[\w./-]+|Makefile|setup\.py)`")
NAMED = re.compile(r"\bdockerstorage\.([a-z]\w*)\b")


def extension():
    """The part of the handbook's build that reads the docstrings."""
    path = DOCS / "_extension" / "docstrings.py"
    spec = importlib.util.spec_from_file_location("handbook_docstrings", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


DOCSTRINGS = extension()
FILES = DOCSTRINGS.loader_files()
FUNCTIONS = [(file, function) for file in FILES for function in file.functions]


def name(value):
    """What a parameter is called in pytest's list."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else value.name


def slugs(page):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {one.replace(" ", "-") for one in plain}


def test_every_public_function_has_a_description_in_the_reference():
    for kind in DOCSTRINGS.KINDS:
        for path in (ROOT / f"_{kind}").glob("[!_]*.py"):
            defined = re.findall(r"^def ([a-z]\w*)\(", path.read_text(), re.MULTILINE)
            (file,) = [one for one in FILES if (one.kind, one.name) == (kind, path.stem)]
            text = DOCSTRINGS.page(file)
            if kind in DOCSTRINGS.WITHOUT_FUNCTIONS:
                defined = []
            for function in defined:
                assert f".. py:function:: {path.stem}.{function.rstrip('_')}(" in text


@pytest.mark.parametrize(("file", "function"), FUNCTIONS, ids=name)
def test_a_description_holds_what_an_operator_needs(file, function):
    promise = function.text.partition("\n\n")[0]
    assert promise.endswith("."), promise
    if file.kind != "states":
        assert "CLI Example:" in function.text
        assert f"{file.name}.{function.name}" in function.text.partition("CLI Example:")[2]
    missing = [one for one in _arguments(function) if not re.search(rf"\b{one}\b", function.text)]
    assert not missing


def _arguments(function):
    tree = ast.parse(f"def f({function.arguments}): pass").body[0].args
    return [one.arg for one in (*tree.posonlyargs, *tree.args, *tree.kwonlyargs)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_functions_that_a_page_names_are_there(page):
    known = {function.name for file, function in FUNCTIONS if file.name == "dockerstorage"}
    formula = {path.stem for path in (ROOT / "salt/formulas/dockerstorage").iterdir()}
    files = {"conf", "git", "prom", "py"}
    assert not set(NAMED.findall(page.read_text())) - known - formula - files


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        parts = urlsplit(link)
        if parts.scheme:  # not fetched: this must work without a network
            assert parts.scheme == "https", link
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        if parts.fragment:
            assert parts.fragment in slugs(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_of_the_repository_that_a_page_names_are_there(page):
    for path in PATH.findall(page.read_text()):
        assert (ROOT / path).exists(), path


def test_events_are_described_with_every_field():
    text = (DOCS / "events.md").read_text()
    event = watch.Event(*["ok"] * 4, None, "changed", *[None] * 6)
    job = jobs.Job("export", "/srv", lambda _: None, None, 0.0)
    salts_own = ("id", "signed_at", "signature", "minion")
    fields = {*alert.as_dict(event, None), *job.as_dict(), *salts_own}
    assert not {one for one in fields if f"`{one}`" not in text}


def test_every_operation_that_fires_is_among_the_events():
    text = (DOCS / "events.md").read_text()
    source = (ROOT / "_modules" / "dockerstorage.py").read_text()
    operations = re.findall(r'\b_(?:teller|progress)\(\s*"(\w+)"', source)
    assert operations
    assert not {one for one in operations if f"`{one}`" not in text}
    assert re.findall(r"/(\w+/alert)\"", source) == ["remediate/alert"]


def test_the_report_s_description_names_every_field():
    text = next(one.text for _, one in FUNCTIONS if one.name == "report")
    silent = report.as_dict(report.Sight(Site("/var/lib/docker", "devicemapper", None)))
    for key, value in silent.items():
        for field in [key, *(value if isinstance(value, dict) else ())]:
            assert re.search(rf"\b{field}\b", text), field
