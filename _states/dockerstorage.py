"""
States of a Docker host's storage
=================================

Declare that nothing unneeded lies on the host (``pruned``) and which images carry a protecting
label (``protected``), that Docker has a thin pool which grows in time (``thinpool``), and that a
bundle of what is there exists (``exported``).
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


def _names(items):
    return [
        f"{item['kind']} {item['name']} ({item['id'].removeprefix('sha256:')[:12]})"
        for item in items
    ]


def _result(name, result, comment, changes=None):
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
