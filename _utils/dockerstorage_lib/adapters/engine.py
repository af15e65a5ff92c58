"""The Docker engine, through docker-py: the only user of that library."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import docker
import requests

from .. import objects
from ..errors import BadInput, EngineRefused, EngineUnreachable

DEFAULT_URL = "unix:///var/run/docker.sock"
#: docker-py's own 60 s are too few: removing one large layer may take longer, and a client that
#: goes away stops the daemon midway.
TIMEOUT_SECONDS = 600

T = TypeVar("T")


class Engine:
    """A connection to the engine of this host.

    Every method raises EngineUnreachable if the engine does not answer, EngineRefused if it
    answers with an error. Look-ups return None for what is not there.
    """

    def __init__(self, url: str = DEFAULT_URL, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        with _translated(url):
            self._api = docker.APIClient(base_url=url, version="auto", timeout=timeout_seconds)
        self._url = url

    def info(self) -> dict[str, Any]:
        """The engine's ``info`` document."""
        return self._call(self._api.info)

    def container_ids(self) -> list[str]:
        """Ids of all containers, whatever their state."""
        return [row["Id"] for row in self._call(self._api.containers, all=True, trunc=False)]

    def containers(self) -> tuple[objects.Container, ...]:
        """Every container, whatever its state."""
        # One that is gone since the listing needs no decision.
        found = (self.container(id_) for id_ in self.container_ids())
        return tuple(one for one in found if one is not None)

    def container(self, container_id: str) -> objects.Container | None:
        found = self._find(self._api.inspect_container, container_id)
        return None if found is None else objects.read_container(found)

    def images(self) -> list[dict[str, Any]]:
        """The engine's list of all images, intermediate ones too."""
        return self._call(self._api.images, all=True)

    def image(self, name: str) -> dict[str, Any] | None:
        """The engine's inspect document of an image."""
        return self._find(self._api.inspect_image, name)

    def volumes(self) -> tuple[objects.Volume, ...]:
        listed = self._call(self._api.volumes).get("Volumes") or ()
        return tuple(map(objects.read_volume, listed))

    def volume(self, name: str) -> objects.Volume | None:
        found = self._find(self._api.inspect_volume, name)
        return None if found is None else objects.read_volume(found)

    def networks(self) -> tuple[objects.Network, ...]:
        # The list lacks the endpoints, which decide.
        listed = self._call(self._api.networks)
        found = (self.network(row["Id"]) for row in listed)
        return tuple(one for one in found if one is not None)

    def network(self, network_id: str) -> objects.Network | None:
        found = self._find(self._api.inspect_network, network_id)
        return None if found is None else objects.read_network(found)

    def container_size(self, container_id: str) -> int | None:
        """Bytes of a container's own files by the engine's count, for which it walks them."""
        url = self._api._url("/containers/{0}/json", container_id)
        found = self._find(self._get, url, size=1)
        return None if found is None else int(found.get("SizeRw") or 0)

    def build_cache(self) -> list[dict[str, Any]] | None:
        """The records of BuildKit's cache; None if the engine cannot list them alone.

        Below API 1.42 they come only with a full disk usage, for which the engine mounts every
        container: slow, and it writes to a pool that may be nearly full.
        """
        if docker.utils.version_lt(self._api._version, "1.42"):
            return None
        found = self._call(self._get, self._api._url("/system/df"), type="build-cache")
        return found.get("BuildCache") or []

    def containers_of_image(self, image_id: str) -> list[str]:
        """Ids of containers in any state that were made from this very image."""
        # The engine's "ancestor" filter finds those of child images too.
        listed = self._call(self._api.containers, all=True, filters={"ancestor": image_id})
        return [row["Id"] for row in listed if row["ImageID"] == image_id]

    def containers_on_network(self, network: objects.Network) -> list[str]:
        """Ids of containers in any state that are, or will be when started, on a network."""
        # The engine's "network" filter misses one that never ran and knows its network by a
        # shortened id.
        found = []
        for row in self._call(self._api.containers, all=True):
            ends = (row.get("NetworkSettings") or {}).get("Networks") or {}
            ids = {end.get("NetworkID") for end in ends.values() if end}
            if network.id in ids or any(
                key == network.name or network.id.startswith(key) for key in ends
            ):
                found.append(row["Id"])
        return found

    def remove_container(self, container_id: str) -> None:
        self._call(self._api.remove_container, container_id)

    def remove_network(self, network_id: str) -> None:
        self._call(self._api.remove_network, network_id)

    def remove_volume(self, name: str) -> None:
        self._call(self._api.remove_volume, name)

    def remove_image(self, name: str) -> None:
        """Remove one tag or digest, or by id an image without any.

        The image goes with its last name; its parents never go with it.
        """
        # noprune: otherwise untagged parents go too, with no look at their labels.
        self._call(self._api.remove_image, name, noprune=True)

    def remove_cache_record(self, record_id: str) -> bool:
        """Remove one record of the build cache; False if the engine passed over it."""
        # docker-py's prune_builds lacks "all" in some releases, so the request is made by hand.
        url = self._api._url("/build/prune")
        params = {"filters": docker.utils.convert_filters({"id": record_id}), "all": True}
        done = self._call(lambda: self._api._result(self._api._post(url, params=params), True))
        return record_id in (done.get("CachesDeleted") or ())

    def tag(self, image_id: str, name: str) -> None:
        """Point a tag (``repository:tag``) to an image, in one step for any client."""
        repository, _, tag = name.rpartition(":")
        self._call(self._api.tag, image_id, repository, tag)

    def build_labelled(self, image_id: str, labels: dict[str, str]) -> str:
        """Build an image that adds labels to another and nothing else; return its id."""
        # The labels go as the request's own parameter, so that none needs quoting.
        dockerfile = io.BytesIO(f"FROM {image_id}\n".encode())
        steps = self._call(
            lambda: list(self._api.build(fileobj=dockerfile, labels=labels, rm=True, decode=True))
        )
        for step in steps:
            if "error" in step:
                raise EngineRefused(500, step["error"])
        ids = [step["aux"]["ID"] for step in steps if "ID" in (step.get("aux") or {})]
        return str(ids[-1])

    def _call(self, function: Callable[..., T], *args: object, **kwargs: object) -> T:
        with _translated(self._url):
            return function(*args, **kwargs)

    def _find(self, function: Callable[..., T], *args: object, **kwargs: object) -> T | None:
        try:
            return self._call(function, *args, **kwargs)
        except EngineRefused as refused:
            if refused.status == 404:
                return None
            raise

    def _get(self, url: str, **params: object) -> dict[str, Any]:
        """A request that docker-py has no method for."""
        return self._api._result(self._api._get(url, params=params), True)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn docker-py's errors into this project's."""
    try:
        yield
    except docker.errors.APIError as error:
        status = error.response.status_code if error.response is not None else 500
        raise EngineRefused(status, str(error.explanation or error)) from None
    except docker.errors.InvalidArgument as error:
        raise BadInput(str(error)) from None
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineUnreachable(f"{_why(error, url)} ({url})") from None


def _why(error: BaseException, url: str) -> str:
    """The sentence for an engine that does not answer, with the remedy."""
    cause = next((e.errno for e in _causes(error) if isinstance(e, OSError) and e.errno), None)
    if cause in (errno.EACCES, errno.EPERM):
        return "no permission for the engine's socket: run the minion as root"
    if cause == errno.ENOENT:
        return "the engine's socket does not exist: is Docker installed and started?"
    if cause == errno.ECONNREFUSED:
        return "nothing listens on the engine's socket: start Docker (systemctl start docker)"
    if isinstance(error, requests.Timeout) or any(
        isinstance(e, TimeoutError) for e in _causes(error)
    ):
        return "the engine did not answer in time: it may hang; see its log"
    if isinstance(error, requests.RequestException):
        return "the engine went away in the middle of a request: see its log"
    return f"the engine does not answer: {error}"


def _causes(error: BaseException) -> Iterable[BaseException]:
    """An error and all that it wraps."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, *one.args]
        waiting += [e for e in inner if isinstance(e, BaseException)]
