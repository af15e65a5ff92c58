"""
The fleet as the master sees it
===============================

Gather the reports of all Docker hosts and see at once who is at risk: as a table on the terminal
(``fleet``), as data (``--out=json``), or as one HTML page (``fleet_page``). Minions that do not
answer are named, and so are those that cannot, with the reason.

The master needs neither Docker nor the Python packages that the minions need.
"""

import contextlib
import shutil
import sys
import time

import salt.client
import salt.utils.minions
from salt.exceptions import SaltClientError, SaltException

try:
    import dockerstorage_lib
    from dockerstorage_lib import errors, fleet_answers, fleet_table, policy
    from dockerstorage_lib import fleet as fleet_
    from dockerstorage_lib import fleet_page as page_
    from dockerstorage_lib.adapters import pagefile

    IMPORT_ERROR = None
except ImportError as error:
    IMPORT_ERROR = str(error)

__virtualname__ = "dockerstorage"

#: The library that this file was shipped with.
LIBRARY_VERSION = "0.1.0"
TIMEOUT_SECONDS = 30
MOST_SECONDS = 3600
SOURCES = ("live", "mine")
#: Without a terminal, and in the lines of a result.
PLAIN_WIDTH = 96


def __virtual__():
    if IMPORT_ERROR:
        return False, (
            f"the runner dockerstorage has no library: {IMPORT_ERROR}. Run 'salt-run "
            "saltutil.sync_all', or install the extension into the master's Python"
        )
    if dockerstorage_lib.VERSION != LIBRARY_VERSION:
        return False, (
            f"this runner is of version {LIBRARY_VERSION} and the loaded library of "
            f"{dockerstorage_lib.VERSION}: remove whichever of the synced and the pip-installed "
            "copy is older"
        )
    return __virtualname__


def fleet(
    tgt="*",
    tgt_type="glob",
    timeout=TIMEOUT_SECONDS,
    source="live",
    reclaimable=False,
    sort="state",
):
    """
    Show all Docker hosts, who is at risk and who does not answer.

    On a terminal this is a table of the terminal's width; with ``--out=json`` (or any other
    outputter) and for whoever calls it from elsewhere it is data.

    tgt
        Which minions, as in ``salt``.
    tgt_type
        How ``tgt`` is meant: glob, pcre, list, grain, compound, ...
    timeout
        Seconds to wait for the answers, 1 to 3600. It comes back earlier when all have answered,
        and never later; who is late is silent.
    source
        ``live`` asks the minions; ``mine`` takes what they sent to the mine: instantly, as old as
        the mine's interval. It needs ``dockerstorage.report`` among their ``mine_functions``.
    reclaimable
        Also say what a prune with each host's policy would free. It takes the hosts longer.
    sort
        ``state`` (the worst first), ``host``, ``data``, ``metadata``, ``full`` or
        ``reclaimable``.

    Returns a dict: ``hosts`` (each with ``name``, ``state``: emergency, critical, warning, failed,
    silent, ok, no docker; ``why`` nothing is known of its storage; ``driver``, ``engine_version``,
    ``pool``, ``pool_kind``, ``loop_lvm``, ``health``, ``data`` and ``metadata`` (``percent``,
    ``used_bytes``, ``total_bytes``), ``seconds_to_data_full``, ``seconds_to_metadata_full``,
    ``warnings``, ``reclaimable_bytes``; what is not known is None), ``counts``, ``summary`` (the
    table). On failure ``error`` and a ``retcode`` that is not 0.

    CLI Example:

    .. code-block:: bash

        salt-run dockerstorage.fleet
        salt-run dockerstorage.fleet 'db*' reclaimable=True sort=full
        salt-run dockerstorage.fleet source=mine --out=json
    """
    try:
        order = fleet_.read_sort(sort)
        reclaimable = policy.read_flag("reclaimable", reclaimable)
        hosts = _gather(tgt, tgt_type, timeout, source, reclaimable, (fleet_answers.REPORT,))
    except (errors.DockerstorageError, SaltException) as error:
        return _failure(error)
    if _is_read_by_a_human("dockerstorage.fleet"):
        return _shown(fleet_table.table(hosts, _look(), order))
    return {
        "hosts": [fleet_.as_dict(host) for host in fleet_.ordered(hosts, order)],
        "counts": fleet_.counts(hosts),
        "summary": fleet_table.table(hosts, fleet_table.Look(PLAIN_WIDTH), order),
    }


def fleet_page(
    dest,
    tgt="*",
    tgt_type="glob",
    timeout=TIMEOUT_SECONDS,
    source="live",
    reclaimable=False,
    mode="0600",
):
    """
    Write the fleet as one HTML page: bars, history, forecasts, warnings with their way out.

    The page needs nothing else: no server, no network. It can be sorted and filtered, and reads
    well on a telephone, in the dark, and on paper.

    dest
        Absolute path of the file; its directory must exist. The page replaces what it held in one
        step.
    tgt, tgt_type, timeout, source, reclaimable
        As for ``fleet``. History is asked for in the same job; from the mine it is taken if
        ``dockerstorage.history`` is among the ``mine_functions``.
    mode
        Who may read it: 0600 (the default, since the page tells what is weak where), 0640, 0644,
        0660 or 0664.

    Returns a dict: ``path``, ``bytes``, ``counts``, ``summary`` (lines to read). On failure
    ``error`` and a ``retcode`` that is not 0, and the file is as it was.

    CLI Example:

    .. code-block:: bash

        salt-run dockerstorage.fleet_page /srv/www/fleet.html mode=0644
        salt-run dockerstorage.fleet_page /root/db.html 'db*' source=mine
    """
    try:
        path, bits = pagefile.read_path(dest), pagefile.read_mode(mode)
        reclaimable = policy.read_flag("reclaimable", reclaimable)
        functions = (fleet_answers.REPORT, fleet_answers.HISTORY)
        hosts = _gather(tgt, tgt_type, timeout, source, reclaimable, functions)
        size = pagefile.write(path, page_.page(hosts, time.time(), source), bits)
    except (errors.DockerstorageError, SaltException) as error:
        return _failure(error)
    wrote = f"wrote {path}: {size} bytes, mode {bits:04o}"
    if _is_read_by_a_human("dockerstorage.fleet_page"):
        return _shown([wrote, *fleet_table.headline(hosts, _look())])
    headline = fleet_table.headline(hosts, fleet_table.Look(PLAIN_WIDTH))
    return {
        "path": str(path),
        "bytes": size,
        "counts": fleet_.counts(hosts),
        "summary": [wrote, *headline],
    }


def _gather(tgt, tgt_type, timeout, source, reclaimable, functions):
    """The hosts of a target, those that do not answer among them."""
    seconds = _seconds(timeout)
    if source not in SOURCES:
        raise errors.BadInput(f"source: {source!r} is no source; write live or mine")
    # Salt prints what it thinks of a job to where the result goes.
    with contextlib.redirect_stdout(sys.stderr):
        expected, missing, asked = _expected(tgt, tgt_type)
        if source == "mine":
            silence = "its mine holds no report"
            answers = _from_mine(tgt, tgt_type, functions)
        else:
            silence = f"no answer within {seconds:g} s"
            answers = _live(tgt, tgt_type, seconds, reclaimable, functions, asked) if asked else {}
    return fleet_.merge(expected, answers, silence, missing)


def _seconds(timeout):
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not is_number or not 1 <= timeout <= MOST_SECONDS:
        raise errors.BadInput(
            f"timeout: {timeout!r} is no time to wait; write seconds from 1 to {MOST_SECONDS}"
        )
    return timeout


def _expected(tgt, tgt_type):
    """The minions that should answer, those that the master does not know, and whom Salt asks."""
    checker = salt.utils.minions.CkMinions(__opts__)
    if not isinstance(tgt_type, str) or not hasattr(checker, f"_check_{tgt_type}_minions"):
        raise errors.BadInput(f"tgt_type: {tgt_type!r} is none that Salt knows; write as glob")
    if not tgt or not isinstance(tgt, (str, list)):
        raise errors.BadInput(f"tgt: {tgt!r} is no target; write as '*'")
    asked = checker.check_minions(tgt, tgt_type)
    # Greedy, as the master publishes, it counts all minions that it has no grains or pillar of.
    sure = checker.check_minions(tgt, tgt_type, greedy=False)
    return set(sure["minions"]), set(asked.get("missing") or ()), set(asked["minions"])


def _live(tgt, tgt_type, seconds, reclaimable, functions, asked):
    """What minions answer in the time; each job asks for all functions at once."""
    arguments = [{"__kwarg__": True, "reclaimable": True}] if reclaimable else []
    # A release that does not know the argument shall answer all the same when it is not asked.
    one = len(functions) == 1
    function = functions[0] if one else list(functions)
    arg = arguments if one else [arguments, *([] for _ in functions[1:])]
    answers = {}
    with salt.client.get_local_client(__opts__["conf_file"]) as client:
        job = client.run_job(tgt, function, arg, tgt_type, timeout=seconds, listen=True)
        if not job:
            raise SaltClientError("the master published no job; its log says why")
        # Salt's own loops over answers ask again and wait on as long as a minion is at work.
        end = time.monotonic() + seconds
        # With masters below, more may answer than this one knows of.
        wanted = None if __opts__.get("order_masters") else set(job["minions"]) | asked
        while wanted is None or wanted - set(answers):
            left = end - time.monotonic()
            if left <= 0:
                break
            event = client.event.get_event(
                wait=min(left, 1.0), tag=f"salt/job/{job['jid']}/ret/", auto_reconnect=True
            )
            if isinstance(event, dict) and isinstance(event.get("id"), str) and "return" in event:
                answers[event["id"]] = fleet_answers.parts(event["return"], functions)
    return answers


def _from_mine(tgt, tgt_type, functions):
    """What lies in the mine, by minion and function."""
    answers = {}
    for function in functions:
        for minion, value in __salt__["mine.get"](tgt, function, tgt_type).items():
            answers.setdefault(minion, {})[function] = value
    return {name: parts for name, parts in answers.items() if fleet_answers.REPORT in parts}


def _is_read_by_a_human(function):
    """Whether salt-run itself was told to call it, and no format was asked for."""
    return __opts__.get("fun") == function and __opts__.get("output") in (None, "", "txt", "text")


def _look():
    """What the terminal can show; a pipe or a file as well."""
    to_terminal = sys.stdout.isatty() and not __opts__.get("output_file")
    off = __opts__.get("no_color") or __opts__.get("color") is False
    return fleet_table.Look(
        shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns,
        bool(__opts__.get("force_color") or (to_terminal and not off)),
        _encoding().lower().replace("-", "").startswith("utf"),
    )


def _encoding():
    return sys.stdout.encoding or "ascii"


def _shown(lines):
    """The lines as salt-run prints them, in colours of their own."""
    text = "\n".join(lines).encode(_encoding(), "replace").decode(_encoding())
    # Of a result with data, salt-run looks for this word as in a dict, and fails on a text.
    return {"outputter": "txt", "data": text.replace("retcode", "ret-code")}


def _failure(error):
    """A clear word instead of the traceback that salt-run makes of an error; it exits with 1."""
    __context__["retcode"] = 1
    return {"error": str(error), "retcode": 1}
