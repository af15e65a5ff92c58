"""Images as a stream for the engine's load, read back by tarfile."""

import io
import json
import tarfile
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib import docker_archive
from dockerstorage_lib.objects import chain_ids
from tests.unit.importing import file, image

MB = 1 << 20


def known(*images):
    return {one.id: one for one in images}


def layers(**sizes):
    return {name: file(name, size) for name, size in sizes.items()}


BASE, APP = image("base", "l1"), image("app", "l1", "l2", parent="sha256:base")


def test_parents_come_first_and_shared_layers_once():
    found = docker_archive.batches([APP, BASE], known(APP, BASE), layers(l1=1, l2=2), set())
    assert [(one.images, one.layers, one.layer_bytes) for one in found] == [
        ((BASE, APP), ("l1", "l2"), 3)
    ]


def test_what_the_engine_has_is_left_out_by_its_place_in_the_stack():
    other = image("other", "l2")  # the same layer on nothing is another one
    chains = set(chain_ids(("l1", "l2")))
    sizes = layers(l1=1, l2=2)
    found = docker_archive.batches([APP, other], known(APP, other), sizes, chains)
    assert [one.layers for one in found] == [("l2",)]


def test_a_parent_that_is_here_comes_along_without_layers():
    chains = set(chain_ids(("l1",)))
    (batch,) = docker_archive.batches([APP], known(APP, BASE), layers(l1=1, l2=2), chains)
    assert (batch.images, batch.parents, batch.layers) == ((APP,), (BASE,), ("l2",))


def test_large_images_are_loaded_one_by_one():
    images = [image(f"i{n}", f"l{n}") for n in range(4)]
    sizes = layers(l0=200 * MB, l1=100 * MB, l2=1, l3=300 * MB)
    found = docker_archive.batches(images, known(*images), sizes, set())
    assert [[one.id[7:] for one in batch.images] for batch in found] == [["i0", "i1"], ["i2", "i3"]]


def test_the_stream_is_what_load_reads():
    contents = {"l1": b"x" * 700, "l2": b"y" * 512}
    batch = docker_archive.Batch((APP,), (BASE,), ("l2",), 512)
    configs = {APP.id: b'{"app": 1}', BASE.id: b'{"base": 1}'}

    @contextmanager
    def opener(record):
        yield io.BytesIO(contents[record.path])

    linked = {(APP.id, BASE.id)}
    data = b"".join(docker_archive.stream(batch, configs, layers(l1=700, l2=512), opener, linked))
    assert len(data) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {one.name: archive.extractfile(one).read() for one in archive}
    assert json.loads(files.pop("manifest.json")) == [
        {"Config": "app.json", "RepoTags": None, "Parent": "sha256:base",
         "Layers": ["l1/layer.tar", "l2/layer.tar"]},
        {"Config": "base.json", "RepoTags": None, "Layers": ["l1/layer.tar"]},
    ]  # fmt: skip
    assert files == {"app.json": configs[APP.id], "base.json": configs[BASE.id],
                     "l2/layer.tar": contents["l2"]}  # fmt: skip


def test_a_layer_beyond_8_gib_has_a_header():
    header = docker_archive._header("x", 1 << 40)
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == 1 << 40


STEP = {"created": "2020", "created_by": "sh"}


@pytest.mark.parametrize(
    ("mine", "parents", "valid"),
    [
        ([STEP, {"created": "2021"}], [STEP], True),
        ([STEP], [STEP], False),
        ([{"created": "2021"}, STEP], [STEP], False),
        ([STEP, STEP, STEP], [STEP], False),
        ([], [], True),
        (None, None, True),
        ([STEP], None, True),
    ],
)
def test_parents_that_load_believes(mine, parents, valid):
    assert docker_archive.valid_parent({"history": mine}, {"history": parents}) is valid


@st.composite
def forests(draw):
    """Images with parents among those before them, and their layers' stacks."""
    images = []
    for number in range(draw(st.integers(1, 8))):
        parent = draw(st.sampled_from([None, *images]))
        stack = (parent.layers if parent else ()) + tuple(
            draw(st.lists(st.sampled_from("abcd"), max_size=2))
        )
        images.append(image(f"i{number}", *stack, parent=parent.id if parent else ""))
    return images


@given(forests(), st.data())
def test_each_stream_can_be_loaded_after_those_before_it(images, data):
    order = data.draw(st.permutations(images))
    here = set(data.draw(st.sampled_from([(), *(tuple(chain_ids(one.layers)) for one in images)])))
    size = data.draw(st.sampled_from([1, 100 * MB]))
    sizes = layers(**dict.fromkeys("abcd", size))
    loaded = set()
    for batch in docker_archive.batches(order, known(*images), sizes, here):
        for one in batch.images:
            assert not one.parent_id or one.parent_id in loaded
            for diff_id, chain in zip(one.layers, chain_ids(one.layers), strict=True):
                assert chain in here or diff_id in batch.layers
            here.update(chain_ids(one.layers))
            loaded.add(one.id)
        ids = {one.id for one in (*batch.images, *batch.parents)}
        assert all(one.parent_id in ids for one in batch.images if one.parent_id)
    assert loaded == {one.id for one in images}
