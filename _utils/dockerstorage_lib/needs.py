"""What a bundle's objects need of one another: is it whole? Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .bundle import ContainerRecord, Manifest

#: Every engine has them.
_BUILT_IN_NETWORKS = ("bridge", "host", "none", "default", "")


def missing(manifest: Manifest, documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What objects of a bundle need and it does not hold, for an operator.

    ``documents`` holds the inspect documents by their path. What ``not_taken`` names is not
    missing: it is known.
    """
    known = {(one.kind, key) for one in manifest.not_taken for key in (one.id, one.name) if key}
    known |= {("image", one.id) for one in manifest.images}
    known |= {("layer", diff_id) for diff_id in manifest.layers}
    known |= {("volume", one.name) for one in manifest.volumes}
    known |= {("network", key) for one in manifest.networks for key in (one.id, one.name)}
    known |= {("container", key) for one in manifest.containers for key in (one.id, one.name)}
    found = []
    for image in manifest.images:
        label = f"image {image.tags[0] if image.tags else image.id}"
        needs = [("layer", layer) for layer in image.layers]
        needs += [("image", image.parent_id)] * bool(image.parent_id)
        found += [_line(label, *need) for need in needs if need not in known]
    for container in manifest.containers:
        document = documents.get(container.document.path, {})
        for kind, *keys in _needs(container, document):
            if not any((kind, key) in known for key in keys):
                found.append(_line(f"container {container.name}", kind, keys[-1]))
    return found


def _line(label: str, kind: str, key: str) -> str:
    return f"{label}: {kind} {key} is not in the bundle"


def _needs(container: ContainerRecord, document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Kind of what a container needs, and the keys that it goes by."""
    yield "image", container.image_id
    for mount in _items(document.get("Mounts")):
        if mount.get("Type") == "volume" and mount.get("Name"):
            yield "volume", str(mount["Name"])
    networks = _mapping(_mapping(document.get("NetworkSettings")).get("Networks"))
    for name, network in networks.items():
        if name not in _BUILT_IN_NETWORKS:
            yield "network", str(_mapping(network).get("NetworkID")), str(name)
    mode = str(_mapping(document.get("HostConfig")).get("NetworkMode") or "")
    if mode.startswith("container:"):
        yield "container", mode.removeprefix("container:")


def _items(found: object) -> list[Mapping[str, Any]]:
    return [_mapping(one) for one in found] if isinstance(found, list) else []


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
