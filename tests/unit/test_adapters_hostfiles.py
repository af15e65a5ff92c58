"""Files of the host, read as they are."""

import os

import pytest

from dockerstorage_lib.adapters.hostfiles import (
    daemon_config,
    device_and_inode,
    engine_flags,
    mounts_by_device,
    sparse_file,
)
from dockerstorage_lib.errors import Unparsable


def test_the_engine_s_configuration(tmp_path):
    path = tmp_path / "daemon.json"
    assert daemon_config(path) == {}
    path.write_text("")
    assert daemon_config(path) == {}
    path.write_text('{"data-root": "/d"}')
    assert daemon_config(path) == {"data-root": "/d"}


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_broken_configuration_is_named(tmp_path, text):
    path = tmp_path / "daemon.json"
    path.write_text(text)
    with pytest.raises(Unparsable, match=r"daemon\.json"):
        daemon_config(path)


def test_flags_are_those_of_all_files_without_comments(tmp_path):
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/usr/bin/dockerd --one\n")
    (tmp_path / "docker.service.d").mkdir()
    (tmp_path / "docker.service.d" / "a.conf").write_text("  # --two\nEnvironment=X=--three")
    places = [f"{tmp_path}/docker.service.d/*.conf", f"{tmp_path}/docker.service*", "/nowhere/*"]
    flags = engine_flags(places)
    assert "--three\n[Service]\nExecStart=/usr/bin/dockerd --one" in flags
    assert "--two" not in flags


def test_a_sparse_file_takes_less_than_it_shows(tmp_path):
    path = tmp_path / "data"
    with path.open("wb") as file:
        file.write(b"x" * 8192)
        file.truncate(1 << 30)
    found = sparse_file(str(path))
    assert found.apparent_bytes == 1 << 30
    assert 8192 <= found.allocated_bytes < 1 << 20
    assert sparse_file(str(tmp_path / "absent")) is None


def test_the_middle_of_docker_s_device_names(tmp_path):
    stat = tmp_path.stat()
    expected = f"{os.major(stat.st_dev)}:{os.minor(stat.st_dev)}-{stat.st_ino}"
    assert device_and_inode(str(tmp_path)) == expected
    assert device_and_inode(str(tmp_path / "absent")) is None


def test_mounts_of_this_machine():
    assert "/proc" in {point for points in mounts_by_device().values() for point in points}
