"""Records of what was done, and copies of what was removed."""

import json

from dockerstorage_lib.adapters.records import Record


def test_each_act_is_a_line_and_each_file_a_copy(tmp_path):
    record = Record("recover", 86400.0, tmp_path / "kept")
    assert record.folder.name == "recover-19700102T000000Z"
    assert record.folder.stat().st_mode & 0o777 == 0o700
    record.note(begin="one")
    record.note(end="one", result=5)
    lines = [json.loads(line) for line in (record.folder / "record.jsonl").read_text().splitlines()]
    assert [{key: one[key] for key in one if key != "at"} for one in lines] == [
        {"begin": "one"},
        {"end": "one", "result": 5},
    ]
    original = tmp_path / "abc"
    original.write_bytes(b'{"device_id": 7}')
    copy = record.keep(original)
    assert copy.read_bytes() == original.read_bytes()
    assert copy.parent == record.folder
