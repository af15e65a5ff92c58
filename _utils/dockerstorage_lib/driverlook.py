"""Look which storage drivers this host can run; works with a silent engine, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import drivers
from .adapters import configfiles, kernelfacts, store
from .adapters.engine import Engine
from .errors import DockerstorageError
from .poolview import DEFAULT_ROOT


def look(connect: Callable[[], Engine], data_root: str | None = None) -> dict[str, Any]:
    """What ``dockerstorage.drivers`` returns, but for the lines to read.

    connect opens the engine; data_root overrides the configured place of a silent engine.
    """
    configuration = configfiles.read()
    info: Mapping[str, Any] = {}
    try:
        info = connect().info()
    except DockerstorageError:  # its program tells the release, and its files the driver
        root = data_root or configuration.data_root or DEFAULT_ROOT
        version = configfiles.engine_version(configuration)
        current = configuration.driver or store.latest_driver(root) or None
    else:
        root, version, current = info["DockerRootDir"], info["ServerVersion"], info["Driver"]
    return drivers.as_dict(kernelfacts.facts(root, version), current)
