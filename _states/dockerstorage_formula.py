"""
What the formula has a minion do by itself
==========================================

Jobs of the minion's schedule (``scheduled``, ``unscheduled``) and the beacon (``watched``,
``unwatched``). Salt has states for both, but in test mode Salt 3006 says of a job to come, and
every release of a beacon to come, that all is as it should be; nor does a new beacon count as a
change.

A running minion keeps both; without one on the host nothing can be changed.
"""

__virtualname__ = "dockerstorage_formula"

NO_MINION = "no salt-minion answers on this host, and it is what keeps them: start it"


def __virtual__():
    if "dockerstorage_formula.settings" in __salt__:
        return __virtualname__
    return False, "the execution module 'dockerstorage_formula' did not load; it says why"


def scheduled(name, function, **kwargs):
    """
    Make sure that the minion has a job in its schedule, and keeps it.

    name
        The job's name.
    function
        What it calls.

    Further arguments are those of ``schedule.add``, as ``job_kwargs``, ``hours``, ``splay``.

    .. code-block:: yaml

        dockerstorage-prune:
          dockerstorage_formula.scheduled:
            - function: dockerstorage.prune
            - job_kwargs: {min_age: 7d}
            - hours: 24
    """
    job = {"function": function, **_given(kwargs)}
    wanted = __salt__["schedule.build_schedule_item"](name, **job)
    if wanted.get("result") is False:
        return _result(name, False, wanted["comment"])
    wanted = {"enabled": True, **wanted}
    present = _jobs().get(name)
    if present == wanted:
        return _result(name, True, f"The job {name} is in the schedule.")
    changes = {name: {"old": present, "new": wanted}}
    if __opts__["test"]:
        return _result(name, None, f"The job {name} would be scheduled.", changes)
    done = __salt__["schedule.modify" if present else "schedule.add"](name, **job)
    if not done["result"]:
        return _result(name, False, f"{done['comment']} If {NO_MINION}.")
    return _result(name, True, f"The job {name} was scheduled.", changes)


def unscheduled(name):
    """
    Make sure that the minion has no job of this name in its schedule.

    name
        The job's name.

    .. code-block:: yaml

        dockerstorage-prune:
          dockerstorage_formula.unscheduled: []
    """
    present = _jobs().get(name)
    if present is None:
        return _result(name, True, f"The job {name} is not in the schedule.")
    changes = {name: {"old": present, "new": None}}
    if __opts__["test"]:
        return _result(name, None, f"The job {name} would be removed.", changes)
    done = __salt__["schedule.delete"](name)
    if not done["result"]:
        return _result(name, False, done["comment"])
    return _result(name, True, f"The job {name} was removed.", changes)


def watched(name, **kwargs):
    """
    Make sure that a beacon is configured, and stays so.

    name
        The beacon's name.

    Further arguments are the beacon's settings.

    .. code-block:: yaml

        dockerstorage:
          dockerstorage_formula.watched:
            - interval: 30
            - levels: {warning: 70, critical: 80, emergency: 90}
    """
    wanted = [{key: value} for key, value in _given(kwargs).items()]
    beacons = _beacons()
    if beacons is None:
        return _result(name, False, f"Of beacons, {NO_MINION}.")
    present = beacons.get(name)
    if present == wanted:
        return _result(name, True, f"The beacon {name} is as declared.")
    changes = {name: {"old": present, "new": wanted}}
    if __opts__["test"]:
        return _result(name, None, f"The beacon {name} would be configured.", changes)
    done = __salt__["beacons.modify" if name in beacons else "beacons.add"](name, wanted)
    if not done["result"]:
        return _result(name, False, done["comment"])
    __salt__["beacons.save"]()
    return _result(name, True, f"The beacon {name} was configured.", changes)


def unwatched(name):
    """
    Make sure that a beacon is not configured.

    name
        The beacon's name.

    .. code-block:: yaml

        dockerstorage:
          dockerstorage_formula.unwatched: []
    """
    present = (_beacons() or {}).get(name)
    if present is None:
        return _result(name, True, f"The beacon {name} is not configured.")
    changes = {name: {"old": present, "new": None}}
    if __opts__["test"]:
        return _result(name, None, f"The beacon {name} would be removed.", changes)
    done = __salt__["beacons.delete"](name)
    if not done["result"]:
        return _result(name, False, done["comment"])
    __salt__["beacons.save"]()
    return _result(name, True, f"The beacon {name} was removed.", changes)


def _jobs():
    """The minion's schedule, Salt's own jobs included.

    A busy minion does not answer in time; that looks like an empty schedule, which is rare.
    """
    ask = __salt__["schedule.list"]
    wanted = {"show_all": True, "return_yaml": False}
    return ask(**wanted) or ask(**wanted)


def _beacons():
    """The configured beacons; None if no minion answers."""
    ask = __salt__["beacons.list"]
    found = ask(return_yaml=False)
    return ask(return_yaml=False) if found is None else found


def _given(kwargs):
    return {key: value for key, value in kwargs.items() if not key.startswith("__")}


def _result(name, result, comment, changes=None):
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
