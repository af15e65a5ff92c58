"""Parts of different versions, or missing ones, are noticed, and the remedy is told."""

from __future__ import annotations

from tests.functional import installs

OTHER = "99.1.2"


def refusal(host) -> str:
    """What the operator reads who calls a function of the module."""
    answer = host.cli("--out=nested", "dockerstorage.report")
    printed = f"{answer.stdout}{answer.stderr}"
    assert answer.returncode != 0, printed
    assert "Traceback" not in printed
    return printed


def with_library_version(tree, version):
    library = installs.LIBRARY + "/__init__.py"
    installs.edit(tree / library, f'VERSION = "{present_version()}"', f'VERSION = "{version}"')


def with_module_version(tree, version):
    module = tree / "_modules/dockerstorage.py"
    installs.edit(
        module, f'LIBRARY_VERSION = "{present_version()}"', f'LIBRARY_VERSION = "{version}"'
    )


def present_version() -> str:
    text = (installs.ROOT / installs.LIBRARY / "__init__.py").read_text()
    return text.partition('VERSION = "')[2].partition('"')[0]


def test_a_library_of_another_version_is_refused(make_host, scratch):
    served = installs.copy_tree(scratch / "tree-library")
    with_library_version(served, OTHER)
    host = make_host("other-library", "synced", file_roots={"base": [str(served)]})
    host.cli("saltutil.sync_all")
    printed = refusal(host)
    assert OTHER in printed
    assert present_version() in printed
    assert "restart the minion" in printed


def test_a_newer_synced_module_over_an_older_wheel_is_refused(make_host, scratch):
    served = installs.copy_tree(scratch / "tree-newer")
    with_library_version(served, OTHER)
    with_module_version(served, OTHER)
    host = make_host("newer-over-wheel", "wheel", file_roots={"base": [str(served)]})
    assert host.cli("dockerstorage.report").returncode == 0
    host.cli("saltutil.sync_all")
    assert "pip-installed copy" in refusal(host)


def test_the_same_version_synced_and_installed_works(make_host, tree):
    host = make_host("both", "wheel", file_roots={"base": [str(tree)]})
    host.cli("saltutil.sync_all")
    assert host.cli("dockerstorage.report").returncode == 0


def test_a_missing_package_is_named_with_the_remedy(make_host):
    host = make_host("without-sh", "wheel")
    site = installs.site_packages(host.python.parents[1])
    (site / "sh.py").write_text("raise ImportError(\"No module named 'sh'\")\n")
    printed = refusal(host)
    assert "No module named 'sh'" in printed
    assert "salt-pip install docker sh" in printed
    states = host.cli("--out=nested", "state.single", "dockerstorage.pruned", "name=x")
    assert "Traceback" not in f"{states.stdout}{states.stderr}"
    assert states.returncode != 0
