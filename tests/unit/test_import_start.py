"""The order in which imported containers are started."""

from dockerstorage_lib.import_start import start_order
from tests.unit.importing import container


def order(*rows):
    """rows: name, state, address, needs."""
    records = [container(name, state=state) for name, state, _, _ in rows]
    documents, needs = {}, {}
    for record, (_, _, address, needed) in zip(records, rows, strict=True):
        documents[record.id] = {"NetworkSettings": {"Networks": {"n": {"IPAddress": address}}}}
        needs[record.id] = needed
    return [one.name for one in start_order(records, documents, needs)]


def test_by_address_and_only_what_ran():
    assert order(
        ("late", "running", "172.18.0.10", ()),
        ("off", "exited", "", ()),
        ("early", "paused", "172.18.0.2", ()),
        ("none", "restarting", "", ()),
        ("middle", "running", "172.18.0.9", ()),
    ) == ["early", "middle", "late", "none"]


def test_what_is_needed_comes_first_whatever_its_address():
    assert order(
        ("web", "running", "172.18.0.2", ("db",)),
        ("db", "running", "172.18.0.7", ("gone",)),
        ("other", "running", "172.18.0.3", ()),
    ) == ["other", "db", "web"]


def test_a_circle_has_an_end():
    assert order(
        ("two", "running", "172.18.0.3", ("one",)), ("one", "running", "172.18.0.2", ("two",))
    ) == ["one", "two"]
