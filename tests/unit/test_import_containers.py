"""The last step of a replaced container: whatever fails, one whole container has the name."""

from types import SimpleNamespace

import pytest

from dockerstorage_lib import import_containers
from dockerstorage_lib.errors import EngineRefused, Incoherent
from dockerstorage_lib.import_journal import History, Line
from dockerstorage_lib.import_plan import Step
from dockerstorage_lib.import_work import Work
from tests.unit import importing
from tests.unit.graphs import container

OLD = "old".ljust(64, "0")
ASIDE = f"dockerstorage-aside-{OLD[:12]}"


class Engine:
    """Containers by id; refuses one call if told."""

    def __init__(self, refused=(), **states):
        self.containers = {
            OLD: container("web", id=OLD, state=states.get("old", "running")),
            "new": container("dockerstorage-import-1", id="new", state="created"),
        }
        self.refused = set(refused)
        self.calls = []

    def container(self, key):
        found = (one for one in self.containers.values() if key in (one.id, one.name))
        return next(found, None)

    def _change(self, verb, id_, **changes):
        self.calls.append((verb, id_))
        if (verb, id_) in self.refused:
            self.refused.remove((verb, id_))
            raise EngineRefused(500, f"no {verb}")
        old = self.containers[id_]
        self.containers[id_] = container(
            changes.get("name", old.name), id=id_, state=changes.get("state", old.state)
        )

    def rename(self, id_, name):
        self._change("rename", id_, name=name)

    def stop(self, id_):
        self._change("stop", id_, state="exited")

    def start(self, id_):
        self._change("start", id_, state="running")

    def remove_container(self, id_):
        self._change("remove", id_)
        del self.containers[id_]

    def discard(self, id_):
        self.remove_container(id_)

    def names(self):
        return {one.name: (one.id, one.state) for one in self.containers.values()}


def work(engine, *lines):
    journal = SimpleNamespace(history=History(tuple(lines)))
    journal.add = lambda line: setattr(journal, "history", History((*journal.history.lines, line)))
    return Work(
        plan=None, contents=None, options=None, world=None, engine=engine, source=None,
        journal=journal, job=None,
    )  # fmt: skip


def step(action="replace", here=OLD):
    return Step("container", "bundled", "web", "web", action, "", here=here)


def test_a_new_container_gets_its_name_and_the_old_one_goes():
    engine = Engine()
    under_way = work(engine)
    import_containers._take_place(step(), "new", under_way)
    assert engine.names() == {"web": ("new", "created"), ASIDE: (OLD, "exited")}
    import_containers._remove_aside("bundled", under_way)
    assert engine.names() == {"web": ("new", "created")}
    assert engine.calls == [
        ("stop", OLD), ("rename", OLD), ("rename", "new"), ("remove", OLD),
    ]  # fmt: skip


def test_without_one_in_its_place_it_is_named_only():
    engine = Engine()
    del engine.containers[OLD]
    import_containers._take_place(step("create", ""), "new", work(engine))
    assert engine.calls == [("rename", "new")]


@pytest.mark.parametrize("refused", [("stop", OLD), ("rename", OLD), ("rename", "new")])
def test_if_the_exchange_fails_the_old_one_is_back_and_runs(refused):
    engine = Engine([refused])
    with pytest.raises(EngineRefused):
        import_containers._take_place(step(), "new", work(engine))
    assert engine.names()["web"] == (OLD, "running")


def test_one_that_did_not_run_is_not_started_by_a_failure():
    engine = Engine([("rename", "new")], old="exited")
    with pytest.raises(EngineRefused):
        import_containers._take_place(step(), "new", work(engine))
    assert engine.names()["web"] == (OLD, "exited")
    assert ("stop", OLD) not in engine.calls


def test_one_that_was_renamed_meanwhile_is_left_alone():
    engine = Engine()
    engine.rename(OLD, "other")
    engine.calls.clear()
    with pytest.raises(Incoherent, match="it changed since"):
        import_containers._take_place(step(), "new", work(engine))
    assert engine.calls == []


@pytest.mark.parametrize(
    ("name", "state", "goes"),
    [(ASIDE, "exited", True), (ASIDE, "running", False), ("web", "exited", False)],
)
def test_only_what_was_moved_aside_and_does_not_run_is_removed(name, state, goes):
    engine = Engine()
    engine.containers[OLD] = container(name, id=OLD, state=state)
    lines = [Line("aside", "container", "bundled", OLD, ASIDE)]
    import_containers._remove_aside("bundled", work(engine, *lines))
    assert (OLD not in engine.containers) is goes
    import_containers._remove_aside("another", work(Engine(), *lines))


@pytest.mark.parametrize(
    ("line", "state", "goes"),
    [
        (Line("begun", "container", "b", "new", "dockerstorage-import-1"), "created", True),
        (Line("begun", "container", "b", "new", "dockerstorage-import-1"), "running", False),
        (Line("begun", "container", "b", "new", "web"), "created", False),
        (Line("done", "container", "b", "new", "dockerstorage-import-1"), "created", False),
    ],
)
def test_only_what_an_import_left_half_made_is_removed(line, state, goes):
    engine = Engine()
    engine.containers["new"] = container("dockerstorage-import-1", id="new", state=state)
    import_containers.remove_leftovers(work(engine, line))
    assert ("new" not in engine.containers) is goes
    assert OLD in engine.containers


def test_a_volume_that_was_there_before_is_never_filled():
    web, data = importing.container("web"), importing.volume("f" * 64)
    document = importing.container_document(web, anonymous=[(data.name, "/anon")])
    bundle = importing.contents(
        [(web, document), (data, importing.volume_document(data.name))],
        images=(importing.image("app"),),
        volumes=(data,),
        containers=(web,),
    )
    under_way = work(Engine())
    under_way.plan = importing.plan(bundle, importing.world())
    found = {"Mounts": [{"Type": "volume", "Name": "theirs", "Destination": "/anon"}]}
    for before, made in (({"theirs"}, found), (set(), {"Mounts": []})):
        with pytest.raises(Incoherent, match="the volume at /anon"):
            import_containers._fill_own_volumes(document, made, before, under_way)
    assert under_way.journal.history.lines == ()
    under_way.volumes[data.name] = "shared"  # the container that it is taken from was made before
    import_containers._fill_own_volumes(document, found, {"theirs"}, under_way)
