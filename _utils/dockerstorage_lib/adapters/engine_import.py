"""What an import asks of the engine: loading images, making volumes, networks and containers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import EngineRefused
from .engine_export import ExportEngine

Document = Mapping[str, Any]


class ImportEngine(ExportEngine):
    """A connection to the engine that also makes what an inspect document says."""

    @property
    def is_local(self) -> bool:
        """Whether it runs on this host, so that its data root is within reach."""
        return self._url.startswith(("unix://", "http+unix://"))

    def volume_documents(self) -> dict[str, dict[str, Any]]:
        """The inspect documents of all volumes, by name."""
        listed = self._call(self._api.volumes).get("Volumes") or ()
        return {one["Name"]: one for one in listed}

    def network_documents(self) -> list[dict[str, Any]]:
        """The inspect documents of all networks, without what is attached."""
        return self._call(self._api.networks)

    def load(self, stream: Iterable[bytes]) -> None:
        """Load images from a tar stream; raises EngineRefused with the engine's reason."""
        # docker-py hands errors of the stream over as they are; an error in making the stream ends
        # the request, and the engine drops what it had of it.
        for step in self._call(lambda: list(self._api.load_image(stream, quiet=False))):
            # "message": what it says instead of a stream, with a status that docker-py overlooks.
            why = step.get("error") or step.get("message")
            if why:
                raise EngineRefused(500, str(why))

    def create_network(self, request: Document) -> str:
        """Make a network; its id."""
        return str(self._post("/networks/create", request)["Id"])

    def create_volume(self, request: Document) -> None:
        self._post("/volumes/create", request)

    def create_container(self, name: str, request: Document) -> str:
        """Make a container; its id."""
        return str(self._call(self._api.create_container_from_config, request, name)["Id"])

    def connect(self, network: str, container_id: str, settings: Document) -> None:
        """Put a container on one more network."""
        request = {"Container": container_id, "EndpointConfig": settings}
        self._post(f"/networks/{network}/connect", request)

    def disconnect(self, network: str, container_id: str) -> None:
        self._call(self._api.disconnect_container_from_network, container_id, network)

    def rename(self, container_id: str, name: str) -> None:
        self._call(self._api.rename, container_id, name)

    def start(self, container_id: str) -> None:
        self._call(self._api.start, container_id)

    def pause(self, container_id: str) -> None:
        self._call(self._api.pause, container_id)

    def stop(self, container_id: str) -> None:
        """Stop a container as the operator would: by its own signal, within its own time."""
        self._call(self._api.stop, container_id)

    def discard(self, container_id: str) -> None:
        """Remove a container that does not run, and the volumes that the engine made with it."""
        self._call(self._api.remove_container, container_id, v=True)

    def _post(self, path: str, request: Document) -> dict[str, Any]:
        url = self._api._url(path)

        def post() -> dict[str, Any]:
            response = self._api._post_json(url, data=dict(request))
            self._api._raise_for_status(response)
            return response.json() if response.content else {}

        return self._call(post)
