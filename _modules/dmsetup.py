"""
Device mapper
=============

What dmsetup(8) tells of device-mapper devices, as values.

:depends: the Python package ``sh``; the program ``dmsetup``
"""

import contextlib
import dataclasses

from salt.exceptions import CommandExecutionError, SaltInvocationError

try:
    from dockerstorage_lib import errors
    from dockerstorage_lib.adapters import dmsetup as adapter

    IMPORT_ERROR = None
except ImportError as error:
    IMPORT_ERROR = str(error)

__virtualname__ = "dmsetup"
__func_alias__ = {"ls_": "ls"}


def __virtual__():
    if IMPORT_ERROR:
        return False, f"dmsetup needs the Python package 'sh' beside Salt: {IMPORT_ERROR}"
    return __virtualname__


def status(name=None, target=None):
    """
    Show the status of a device, or of all (with a target of one kind).

    The pool's metadata is not committed by this look (``--noflush``).

    name
        Name of a device; all if left out.
    target
        Kind of target, as ``thin-pool`` or ``thin``, when no name is given.

    Returns, for a name, a list with a dict for each target of its table; else a dict of those
    lists by device name. A thin pool's dict holds the fields of the kernel's status line, with
    ``health``. Blocks are those of the pool; metadata blocks have 4096 bytes.

    CLI Example:

    .. code-block:: bash

        salt '*' dmsetup.status target=thin-pool
    """
    with _salt_errors():
        if name is not None:
            return [_plain(row) for row in adapter.device_status(name)]
        return _plain_rows(adapter.status(target))


def table(name=None, target=None):
    """
    Show the table of a device, or of all (with a target of one kind).

    name, target
        As for ``status``, and so is the result; sizes in sectors of 512 bytes.

    CLI Example:

    .. code-block:: bash

        salt '*' dmsetup.table docker-thinpool
    """
    with _salt_errors():
        if name is not None:
            return [_plain(row) for row in adapter.device_table(name)]
        return _plain_rows(adapter.tables(target))


def info(name=None):
    """
    Show number, uuid, open count and event number of a device, or of all by name.

    CLI Example:

    .. code-block:: bash

        salt '*' dmsetup.info docker-thinpool
    """
    with _salt_errors():
        found = {key: _plain(value) for key, value in adapter.devices().items()}
        if name is None:
            return found
        if name not in found:
            raise CommandExecutionError(f"there is no device {name}; see 'dmsetup.ls'")
        return found[name]


def ls_():
    """
    List the names of all devices.

    CLI Example:

    .. code-block:: bash

        salt '*' dmsetup.ls
    """
    with _salt_errors():
        return sorted(adapter.devices())


def deps(name):
    """
    Show the numbers (``major:minor``) of the devices that a device rests on.

    name
        Name of the device.

    CLI Example:

    .. code-block:: bash

        salt '*' dmsetup.deps docker-thinpool
    """
    with _salt_errors():
        return list(adapter.dependencies(name))


def message(name, text, sector=0):
    """
    Send a message to a device's target and return its answer. It can destroy data.

    name
        Name of the device.
    text
        The message, see the kernel's thin-provisioning document.
    sector
        Sector (512 bytes) of the target in the device's table.

    CLI Example:

    .. code-block:: bash

        salt '*' dmsetup.message docker-thinpool release_metadata_snap
    """
    with _salt_errors():
        return adapter.message(name, _number(int, "sector", sector), text)


def wait(name, event_number=None, timeout=60):
    """
    Wait for a device's next event, as a pool's low-water mark; True if one came in time.

    name
        Name of the device.
    event_number
        Return at once if more events than this have happened; the present number if left out.
    timeout
        Seconds to wait.

    CLI Example:

    .. code-block:: bash

        salt '*' dmsetup.wait docker-thinpool timeout=30
    """
    if event_number is None:
        event_number = info(name)["event_number"]
    with _salt_errors():
        return adapter.wait_event(
            name,
            _number(int, "event_number", event_number),
            _number(float, "timeout", timeout),
        )


def _number(kind, name, value):
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise SaltInvocationError(f"{name}: {value!r} is no number") from None


def _plain(value):
    found = {**dataclasses.asdict(value)}
    if hasattr(value, "health"):
        found["health"] = value.health
    return found


def _plain_rows(found):
    return {name: [_plain(row) for row in rows] for name, rows in found.items()}


@contextlib.contextmanager
def _salt_errors():
    try:
        yield
    except errors.DockerstorageError as error:
        raise CommandExecutionError(str(error)) from None
