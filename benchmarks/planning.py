"""How long a plan takes for a large host, and whether twice the host takes twice as long."""

from __future__ import annotations

import hashlib
import time

from dockerstorage_lib.objects import Container, Image, Inventory, Network, Volume
from dockerstorage_lib.policy import make_policy
from dockerstorage_lib.prune import plan_prune, released_layers

NOW = 1_700_000_000.0
LAYERS_AN_IMAGE = 5


def synthetic_inventory(images: int) -> Inventory:
    """A host with images of five layers each, in families of ten that share two of them.

    With a container for every fifth image, and a volume and a network for every tenth.
    """
    made = [_image(number) for number in range(images)]
    containers = [
        Container(
            id=_digest(f"container {number}"),
            name=f"c{number}",
            image_id=made[number].id,
            image_name=made[number].tags[0],
            state=("running", "exited", "created")[number % 3],
            used_at=NOW - number,
            labels={"protected": "true"} if number % 7 == 0 else {},
            volumes=(f"v{number}",),
            networks=(f"n{number}",),
        )
        for number in range(0, images, 5)
    ]
    return Inventory(
        containers=tuple(containers),
        images=tuple(made),
        volumes=tuple(Volume(f"v{n}", "local", NOW - n, {}) for n in range(0, images, 10)),
        networks=tuple(
            Network(_digest(f"network {n}"), f"n{n}", "local", NOW - n, {})
            for n in range(0, images, 10)
        ),
    )


def _image(number: int) -> Image:
    family = number // 10
    shared = [_digest(f"family {family} layer {layer}") for layer in range(2)]
    own = [_digest(f"image {number} layer {layer}") for layer in range(2, LAYERS_AN_IMAGE)]
    return Image(
        id=_digest(f"image {number}"),
        tags=(f"repository{family}:{number}",),
        digests=(),
        parent_id=_digest(f"image {number - 1}") if number % 10 else "",
        created_at=NOW - number * 60,
        used_at=NOW - number * 60,
        labels={"protected": "true"} if number % 11 == 0 else {},
        diff_ids=(*shared, *own),
    )


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def seconds_to_plan(images: int, repeats: int = 3) -> float:
    """Best time of some runs to plan a prune and to find the layers it releases, in seconds."""
    inventory = synthetic_inventory(images)
    policy = make_policy(protect_names=["keep-*", "*/base:*"], keep_tags=1, volumes="all")
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        plan = plan_prune(inventory, policy, NOW)
        released_layers(plan)
        best = min(best, time.perf_counter() - started)
    return best
