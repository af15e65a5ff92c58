"""Edit the files that say the storage driver, and nothing else of them. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from . import jsonedit
from .driverconfig import GENERATED
from .driversettings import (
    DRIVER,
    DRIVER_VARIABLE,
    OPTIONS,
    Configuration,
    Place,
    Setting,
    Word,
    given_twice,
)
from .errors import Refused
from .unitfiles import read_unit, split

#: Its name puts it behind the drop-ins of packages.
DROP_IN = "/etc/systemd/system/docker.service.d/zz-dockerstorage.conf"
#: Of packages: overwritten when they are updated.
_PACKAGED = ("/usr/", "/lib/")
#: Made anew by something else.
_GENERATED = ("/run/",)
#: What needs no quotes anywhere.
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,%+@-]*")
#: What docker-storage-setup knows; it does nothing for an empty driver.
_SETUP_KNOWS = ("devicemapper", "overlay", "overlay2")


class Editor:
    """Texts of files, and what becomes of them."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._texts = dict(configuration.files)
        self.notes: list[str] = []

    def changed(self) -> dict[str, str]:
        """The files that get another text, and that text."""
        before = self._configuration.files
        return {
            path: text
            for path, text in sorted(self._texts.items())
            if text is not None and text != before.get(path)
        }

    def write(self, driver: str, options: tuple[str, ...]) -> None:
        """Take the settings away everywhere, and write them in one place."""
        configuration = self._configuration
        said = [one for one in configuration.settings if one.name in (DRIVER, OPTIONS)]
        ruling = _ruling_flag(configuration, options)
        texts: dict[int, str] = {}
        doomed = {id(word): word for one in said for word in one.words}
        if ruling is not None:
            texts[id(ruling.words[0])] = _flags(ruling, driver, options)
        by_place: dict[Place, list[Word]] = defaultdict(list)
        for word in doomed.values():
            by_place[word.place].append(word)
        for place in sorted(by_place, key=lambda one: (one.path, -by_place[one][0].start)):
            self._edit(place, by_place[place], texts)
        if ruling is not None:
            self._edit_json({DRIVER: None, OPTIONS: None})
            self.notes.append(f"{driver} is written to {ruling.place}")
        else:
            self._edit_json({DRIVER: driver, OPTIONS: list(options) or None})
            self.notes.append(f"{driver} is written to {configuration.config_file}")

    def _edit_json(self, values: Mapping[str, Any]) -> None:
        path = self._configuration.config_file
        before = self._texts.get(path) or ""
        after = jsonedit.change(before, path, values)
        if after != before:
            _refuse_if_not_ours(path)
            self._texts[path] = after

    def _edit(self, place: Place, words: list[Word], texts: Mapping[int, str]) -> None:
        """Take words away from a place, or put others there."""
        edits = self._edits(place, words, texts)
        if place.kind in ("unit", "unit variable") and place.path.startswith(_PACKAGED):
            self._override(place, edits)
            return
        _refuse_if_not_ours(place.path)
        text = self._texts[place.path] or ""
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        self._texts[place.path] = text
        if not any(texts.get(id(word)) for word in words):
            self.notes.append(f"the setting is removed from {place}")

    def _edits(
        self, place: Place, words: list[Word], texts: Mapping[int, str]
    ) -> list[tuple[int, int, str]]:
        """Which parts of the file become what; a run of words goes with the blank before it."""
        if place.name == DRIVER_VARIABLE:
            return [(word.start, word.end, "") for word in words]
        here = {word for word in self._configuration.command if word.place == place}
        all_ = sorted(here, key=lambda word: word.start)
        doomed = {word.start for word in words}
        edits, at = [], 0
        while at < len(all_):
            begin = at
            while at < len(all_) and all_[at].start in doomed:
                at += 1
            if at == begin:
                at += 1
                continue
            start, end = all_[begin].start, all_[at - 1].end
            new = "".join(texts.get(id(word), "") for word in words if start <= word.start < end)
            if not new and begin:
                start = all_[begin - 1].end
            elif not new and at < len(all_):
                end = all_[at].start
            edits.append((start, end, new))
        return edits

    def _override(self, place: Place, edits: list[tuple[int, int, str]]) -> None:
        """A package's unit stays as it is, and a drop-in says it otherwise."""
        if self._configuration.files.get(DROP_IN) is not None:
            raise Refused(
                f"{DROP_IN} is there already, and yet {place} rules: remove the setting by hand"
            )
        text = self._texts[place.path] or ""
        start, end = _bounds(text, place)
        for first, last, new in sorted(edits, reverse=True):
            text = text[:first] + new + text[last:]
            end += len(new) - (last - first)
        head = (
            f"# Written by dockerstorage: {place.path} sets the storage driver, which now\n"
            f"# stands in {self._configuration.config_file}.\n[Service]\n"
        )
        reset = "ExecStart=\nExecStart=" if place.kind == "unit" else "Environment="
        self._texts[DROP_IN] = (self._texts.get(DROP_IN) or head) + f"{reset}{text[start:end]}\n"
        self.notes.append(f"{DROP_IN} repeats {place} without the setting: packages own that file")

    def set_up(self, driver: str) -> None:
        """Tell docker-storage-setup as well, or at the next boot it would write flags of its own.

        It leaves everything alone for an empty driver.
        """
        setup, ruling = self._configuration.setup, _ruling_flag(self._configuration, ())
        generated = ruling is not None and ruling.place.path == GENERATED
        value = driver if generated and driver in _SETUP_KNOWS else ""
        if setup is None or (setup.words and setup.value == value):
            return
        text, shown = self._texts[setup.place.path] or "", value or '""'
        if setup.words:
            (word,) = setup.words
            text = text[: word.start] + shown + text[word.end :]
        else:
            text += (
                f"{'' if text.endswith(chr(10)) or not text else chr(10)}STORAGE_DRIVER={shown}\n"
            )
        self._texts[setup.place.path] = text
        self.notes.append(f"STORAGE_DRIVER={shown} is written to {setup.place.path}")


def _bounds(text: str, place: Place) -> tuple[int, int]:
    """Where a unit's value stands: the last of that name is the one that counts."""
    found = (0, 0)
    for one in read_unit(text):
        if place.kind == "unit" and one.key == "ExecStart":
            found = (one.value.start, one.value.end)
        elif place.kind == "unit variable" and one.key == "Environment":
            for word in split(one.value):
                if word.value.startswith(f"{place.name}="):
                    found = (word.start, word.end)
    return found


def _ruling_flag(configuration: Configuration, options: tuple[str, ...]) -> Setting | None:
    """The flag that says the driver, if the new one can stand in its place."""
    found = configuration.find(DRIVER)
    if found is None or found.place.kind == "json" or found.place.name == DRIVER_VARIABLE:
        return None
    if DRIVER in dict(given_twice(configuration)):
        return None
    one_place = {word.place for word in found.words} == {found.place}
    ours = found.place.path.startswith("/etc/")
    # In a unit, a per cent sign begins a specifier.
    text = "".join(options)
    per_cent = "%" in text and found.place.kind.startswith("unit")
    plain = _PLAIN.fullmatch(text) and not per_cent
    return found if one_place and ours and plain else None


def _flags(ruling: Setting, driver: str, options: tuple[str, ...]) -> str:
    """The flags, written as the one that they replace."""
    first = ruling.words[0].value
    name, equals, _ = first.partition("=")
    if not name.startswith("--"):
        name = "-s"
    between = "=" if equals else " "
    added = "".join(f" --storage-opt{between}{option}" for option in options)
    return f"{name}{between}{driver}{added}"


def _refuse_if_not_ours(path: str) -> None:
    if path.startswith(_PACKAGED):
        raise Refused(
            f"{path} sets the storage driver and belongs to a package, whose next update would "
            f"bring it back: have docker.service use a file in /etc instead"
        )
    if path.startswith(_GENERATED):
        raise Refused(
            f"{path} sets the storage driver and is written anew at each boot: change what "
            f"writes it"
        )
    if not path.startswith("/"):
        raise Refused(f"{path} sets the storage driver: take it away there first")
