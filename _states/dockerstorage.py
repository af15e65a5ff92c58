"""
States of a Docker host's storage
=================================

Declare that nothing unneeded lies on the host (``pruned``) and which images carry a protecting
label (``protected``), that Docker has a thin pool which grows in time (``thinpool``), which storage
driver it runs on (``driver``), and that a bundle of what is there exists (``exported``).
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "dockerstorage"


def __virtual__():
    if "dockerstorage.prune" in __salt__:
        return __virtualname__
    return False, "the execution module 'dockerstorage' did not load; its own message says why"


def pruned(name, **kwargs):
    """
    Make sure that nothing unneeded and unprotected lies on the host.

    name
        Any text.

    Further arguments are those of ``dockerstorage.prune``, but for ``test``.

    .. code-block:: yaml

        nightly-cleanup:
          dockerstorage.pruned:
            - protect: [protected, keep=yes]
            - min_age: 7d
            - until_percent: 60
    """
    arguments = {key: value for key, value in kwargs.items() if not key.startswith("__")}
    try:
        planned = __salt__["dockerstorage.prune"](test=True, **arguments)
        doomed = planned["plan"]["remove"]
        if not doomed or planned["stopped"]:
            return _result(name, True, planned["stopped"] or "There is nothing to remove.")
        if __opts__["test"]:
            changes = {"removed": _names(doomed), "bytes_predicted": planned["bytes_predicted"]}
            return _result(name, None, f"{len(doomed)} objects would be removed.", changes)
        done = __salt__["dockerstorage.prune"](**arguments)
    except (CommandExecutionError, SaltInvocationError) as error:
        return _result(name, False, str(error))
    changes = {}
    if done["removed"]:
        changes = {"removed": _names(done["removed"]), "bytes_freed": done["bytes_freed"]}
    comment = [f"{len(done['removed'])} objects were removed."]
    comment += [f"Left: {one['kind']} {one['name']}: {one['why']}." for one in done["skipped"]]
    return _result(name, True, " ".join(comment), changes)


def protected(name, label="protected=true"):
    """
    Make sure that an image carries a protecting label.

    name
        Name or id of an image.
    label
        ``key=value`` or ``key``.

    .. code-block:: yaml

        postgres:13:
          dockerstorage.protected
    """
    try:
        planned = __salt__["dockerstorage.protect"](name, label=label, test=True)[0]
        if not planned["changed"]:
            return _result(name, True, f"The image {name} has the label {label}.")
        if __opts__["test"]:
            changes = {"label": label, "tags": planned["tags"], "old_id": planned["old_id"]}
            return _result(name, None, f"The image {name} would get the label {label}.", changes)
        done = __salt__["dockerstorage.protect"](name, label=label)[0]
    except (CommandExecutionError, SaltInvocationError) as error:
        return _result(name, False, str(error))
    changes = {key: done[key] for key in ("tags", "old_id", "new_id")} | {"label": label}
    return _result(name, True, f"The image {name} got the label {label}.", changes)


def thinpool(name, vg=None, **kwargs):
    """
    Make sure that an LVM thin pool for Docker is there, large enough, and extended by LVM itself.

    name
        Name of the pool, or ``vg/pool``.
    vg
        Name of the volume group.

    Further arguments are those of ``dockerstorage.thinpool``, but for ``test``. A pool is never
    made smaller, and a device with anything on it is never taken unless named.

    .. code-block:: yaml

        docker/thinpool:
          dockerstorage.thinpool:
            - devices: [/dev/sdb]
            - size: 95%FREE
            - autoextend_threshold: 80
            - autoextend_percent: 20
            - when_full: error
    """
    arguments = {key: value for key, value in kwargs.items() if not key.startswith("__")}
    test = __opts__["test"]
    try:
        steps = __salt__["dockerstorage.thinpool"](name, vg=vg, test=test, **arguments)
    except (CommandExecutionError, SaltInvocationError) as error:
        return _result(name, False, str(error))
    if not steps:
        return _result(name, True, f"The thin pool {name} is as declared.")
    changes = {step["what"]: {"old": step["old"], "new": step["new"]} for step in steps}
    commands = "; ".join(step["command"] for step in steps)
    if test:
        return _result(name, None, f"Would run: {commands}", changes)
    return _result(name, True, f"Ran: {commands}", changes)


def driver(name, driver=None, options=None, migrate=False, method=None):
    """
    Make sure that Docker runs on a storage driver, without losing sight of anything.

    On a host with nothing in it the engine is configured and restarted. On a host with images,
    containers or volumes the state fails, and names them, unless it may migrate. Nothing is ever
    removed: after a migration, ``dockerstorage.commit`` is the operator's.

    name
        The storage driver, or any text.
    driver
        The storage driver, if it is not the name.
    options
        List of storage options (``key=value``), all of them. Default: those that are configured
        and that the driver knows.
    migrate
        Whether what is on the host may be moved to another driver, or to another pool, by
        ``dockerstorage.migrate``: containers are stopped for a moment.
    method
        Of the migration: ``graft`` or ``bundle``.

    .. code-block:: yaml

        devicemapper:
          dockerstorage.driver:
            - options:
              - dm.thinpooldev=/dev/mapper/docker-thinpool
              - dm.use_deferred_removal=true
              - dm.use_deferred_deletion=true
            - require:
              - dockerstorage: docker/thinpool
    """
    wanted = name if driver is None else driver
    if not isinstance(migrate, bool):
        return _result(name, False, f"migrate: {migrate!r} is neither True nor False")
    try:
        planned = __salt__["dockerstorage.set_driver"](wanted, options=options, test=True)
        if planned["action"] == "migrate" and migrate:
            return _migrate(name, planned, options, method)
        if planned["action"] == "migrate":
            return _result(name, False, planned["why"])
        if planned["action"] == "nothing":
            return _result(name, True, _told(planned))
        if __opts__["test"]:
            return _result(name, None, _told(planned), _driver_changes(planned))
        done = __salt__["dockerstorage.set_driver"](wanted, options=options)
    except (CommandExecutionError, SaltInvocationError) as error:
        return _result(name, False, str(error))
    return _result(name, True, _told(done), _driver_changes(done))


def _migrate(name, planned, options, method):
    """Of the state ``driver``: move what is here."""
    wanted = planned["driver"]
    changes = _driver_changes(planned)
    if __opts__["test"]:
        would = __salt__["dockerstorage.migrate"](wanted, options=options, method=method, test=True)
        told = [f"Would migrate {would['summary'][0]}; {would['summary'][1]}.", *would["notes"]]
        if would["possible"]:
            return _result(name, None, " ".join(told), changes)
        return _result(name, False, " -- ".join(["It cannot migrate.", *would["obstacles"]]))
    done = __salt__["dockerstorage.migrate"](wanted, options=options, method=method)
    comment = (
        f"Migrated from {done['from']} to {done['to']} by {done['method']}; containers were "
        f"stopped for {done['downtime_seconds']:g} s. The old store is left: "
        "dockerstorage.commit removes it, dockerstorage.migrate rollback=True goes back to it."
    )
    return _result(name, True, comment, changes)


def _driver_changes(planned):
    pairs = {key: (planned["from"][key], planned[key]) for key in ("driver", "options")}
    changes = {key: {"old": old, "new": new} for key, (old, new) in pairs.items() if old != new}
    return changes | ({"files": planned["files"]} if planned["files"] else {})


def _told(planned):
    """A plan as one comment."""
    notes = [f"{one[0].upper()}{one[1:]}." for one in planned["notes"]]
    return " ".join([planned["why"], *notes])


def exported(name, max_age="1d", **kwargs):
    """
    Make sure that a whole bundle is there which is not too old.

    name
        Path of the bundle.
    max_age
        Seconds, or a number with a unit (``12h``, ``7d``), after which a new one takes its place.

    Further arguments are those of ``dockerstorage.export``, but for ``dest``, ``replace`` and
    ``test``. The bundle is read and verified at each run.

    .. code-block:: yaml

        /srv/backup/docker:
          dockerstorage.exported:
            - max_age: 1d
            - volumes: "*"
    """
    arguments = {key: value for key, value in kwargs.items() if not key.startswith("__")}
    arguments |= {"dest": name, "replace": True}
    try:
        found = __salt__["dockerstorage.verify"](name, max_age=max_age, absent_ok=True)
        why = _why_export(found, max_age)
        if why is None:
            return _result(name, True, f"The bundle {name} is whole, and not too old.")
        if __opts__["test"]:
            planned = __salt__["dockerstorage.export"](test=True, **arguments)
            changes = {"bundle": {"old": found and found["id"], "new": planned["summary"][0]}}
            return _result(name, None, f"{why} A new one would be made.", changes)
        done = __salt__["dockerstorage.export"](**arguments)
    except (CommandExecutionError, SaltInvocationError) as error:
        return _result(name, False, str(error))
    changes = {"bundle": {"old": found and found["id"], "new": done["id"]}}
    left = [f"{one['kind']} {one['name']}: {one['why']}." for one in done["not_taken"]]
    comment = " ".join([why, done["summary"][0] + ".", *left])
    return _result(name, done["complete"], comment, changes)


def _why_export(found, max_age):
    """Why a new bundle is needed; None if the old one does."""
    if found is None:
        return "There is no bundle yet."
    if not found["valid"]:
        return "The bundle there is damaged."
    return None if found["fresh"] else f"The bundle there is older than {max_age}."


def healthy(name, expected=None, wait=0):
    """
    Make sure that Docker serves here as it should; nothing is ever changed.

    name
        Any text.
    expected
        Names of containers that must run.
    wait
        Seconds, or a number with a unit (``5m``), to wait for it.

    .. code-block:: yaml

        docker-serves:
          dockerstorage.healthy:
            - expected: [web, db]
            - wait: 2m
    """
    try:
        found = __salt__["dockerstorage.health"](expected=expected, wait=wait)
    except (CommandExecutionError, SaltInvocationError) as error:
        return _result(name, False, str(error))
    if not found["healthy"]:
        return _result(name, False, "; ".join(found["problems"]))
    late = found["starting"]
    note = f" Not passed yet: the health check of {', '.join(late)}." if late else ""
    return _result(name, True, f"Docker is healthy.{note}")


def _names(items):
    return [
        f"{item['kind']} {item['name']} ({item['id'].removeprefix('sha256:')[:12]})"
        for item in items
    ]


def _result(name, result, comment, changes=None):
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
