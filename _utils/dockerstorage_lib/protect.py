"""Give an image a protecting label, or take it away again.

A label is part of an image's configuration, so a protected image is a new image: the old one
with one label more and no new layer. Every tag of the old image is switched to it. This is the
two-line Dockerfile (FROM, LABEL) that operators write by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .adapters.engine import Engine
from .errors import BadInput, EngineRefused, Incoherent, Refused
from .objects import real_names
from .policy import LabelRule, texts

Document = Mapping[str, Any]

#: In the containers of an image that sets no PATH.
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Switch:
    """What becomes of one image: its tags go from one id to another."""

    name: str
    old_id: str
    #: None until it is built; the old id if nothing is to change.
    new_id: str | None
    tags: tuple[str, ...]
    #: Tags that somebody moved meanwhile and that were left alone.
    moved: tuple[str, ...] = ()
    note: str = ""

    @property
    def changes(self) -> bool:
        return self.new_id != self.old_id


def plan_protect(engine: Engine, name: str, rule: LabelRule) -> Switch:
    """Decide whether an image needs the label; raises BadInput if there is no such image."""
    image = find_image(engine, name)
    if rule.matches(_labels(image)):
        return Switch(name, image["Id"], image["Id"], (), note=f"it has the label {rule} already")
    if (image.get("Config") or {}).get("OnBuild"):
        raise Refused(
            f"{name} has ONBUILD instructions: a build on top would carry them out and lose them. "
            "Protect it by its name ('protect_names'), or build it again with the label"
        )
    return Switch(name, image["Id"], None, real_names(image["RepoTags"]))


def plan_unprotect(engine: Engine, name: str, rule: LabelRule) -> Switch:
    """Decide to which image the tags go back; raises Refused if there is none."""
    image = find_image(engine, name)
    if not rule.matches(_labels(image)):
        return Switch(name, image["Id"], image["Id"], (), note=f"it has no label {rule}")
    parent = engine.image(image["Parent"]) if image.get("Parent") else None
    if parent is not None and rule.matches(_labels(parent)):
        why = "it is inherited from the image that this one was built from"
    elif parent is None or not _differ_by_label(image, parent, rule.key):
        why = "it is part of how the image was built"
    else:
        return Switch(name, image["Id"], parent["Id"], real_names(image["RepoTags"]))
    raise Refused(
        f"the label {rule} of {name} was not added by dockerstorage.protect: {why}. Build the "
        "image without the label and switch its tags"
    )


def image_names(value: object) -> tuple[str, ...]:
    """The images that the caller named; raises BadInput if there is none or a name is empty."""
    names = texts("image", value)
    if not names or not all(name.strip() for name in names):
        raise BadInput(f"image: {value!r} names no image")
    return names


def find_image(engine: Engine, name: str) -> Document:
    """The image of that name or id; raises BadInput if there is none."""
    found = engine.image(name)
    if found is None:
        raise BadInput(f"image: there is no image {name!r} on this host; see 'docker images -a'")
    return found


def apply_protect(plan: Switch, rule: LabelRule, engine: Engine) -> Switch:
    """Build the labelled image, check it, and switch the tags to it."""
    old = find_image(engine, plan.old_id)
    new_id = engine.build_labelled(plan.old_id, {rule.key: rule.value or ""})
    new = find_image(engine, new_id)
    if not (rule.matches(_labels(new)) and _differ_by_label(new, old, rule.key)):
        raise Incoherent(
            f"the labelled image {new_id}", "the old one and the label, no more", new["Config"]
        )
    return _switch(plan, new_id, engine)


def apply_unprotect(plan: Switch, rule: LabelRule, engine: Engine) -> Switch:
    """Switch the tags back, and remove the image that had the label if nothing uses it."""
    assert plan.new_id is not None, f"{plan.name} has no image below to go back to"
    done = _switch(plan, plan.new_id, engine)
    try:
        if not real_names(find_image(engine, plan.old_id)["RepoTags"]):
            engine.remove_image(plan.old_id)
    except EngineRefused as refused:  # a container or another image uses it
        return replace(done, note=f"the image with {rule} stays: {refused.message}")
    return done


def _switch(plan: Switch, new_id: str, engine: Engine) -> Switch:
    switched, moved = [], []
    for tag in plan.tags:
        now = engine.image(tag)
        if now is None or now["Id"] != plan.old_id:
            moved.append(tag)
            continue
        engine.tag(new_id, tag)
        switched.append(tag)
    return replace(plan, new_id=new_id, tags=tuple(switched), moved=tuple(moved))


def as_dict(switch: Switch) -> dict[str, Any]:
    """A switch as plain values."""
    return {
        "image": switch.name,
        "changed": switch.changes,
        "old_id": switch.old_id,
        "new_id": switch.new_id,
        "tags": list(switch.tags),
        "moved": list(switch.moved),
        "note": switch.note,
    }


def _differ_by_label(image: Document, parent: Document, key: str) -> bool:
    """Whether an image is its parent with that one label more, or with another value of it."""

    def rest(document: Document) -> tuple[object, ...]:
        # "Image" names the image below in what the classic builder makes.
        config = {k: v for k, v in document["Config"].items() if k not in ("Labels", "Image")}
        # A build writes down the PATH that containers of an image without one get anyway.
        config["Env"] = config.get("Env") or [DEFAULT_PATH]
        labels = {k: v for k, v in _labels(document).items() if k != key}
        return document["RootFS"]["Layers"], config, labels

    return rest(image) == rest(parent)


def _labels(image: Document) -> Mapping[str, str]:
    return (image.get("Config") or {}).get("Labels") or {}
