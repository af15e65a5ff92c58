"""
Keep a Docker host's storage healthy
====================================

See what fills the host (``report``, ``pool``, ``devices``) and which storage drivers it can run
(``drivers``), configure another one or move to it (``set_driver``, ``migrate``), remove what nobody
needs without touching what is protected (``prune``), protect images (``protect``, ``unprotect``),
keep the pool from filling up (``thinpool``, ``extend``, ``remediate``, ``watch``), bring back a
host that is stuck on it (``recover``), remove what engines that were killed left behind
(``orphans``), give the disk back what a loop file holds for nobody (``reclaim``), and take all of
it along (``export``, ``verify``, ``import``, ``jobs``), also from a store that no engine serves any
more (``rescue``).

:depends: the Python packages ``docker`` and ``sh``
:configuration: every key of minion config or pillar is optional; a key in both counts as in
    minion config, but for protect_names, which are added up:

.. code-block:: yaml

    dockerstorage:
      docker_url: unix:///var/run/docker.sock
      data_root: /var/lib/docker      # only for an engine that does not answer
      protect: [protected]            # labels: key or key=value
      protect_names: ["db-*"]         # always added to the argument of the same name
      remediate:                      # see remediate
        spare_devices: [/dev/sdc]
"""

import contextlib
import importlib
import logging
import time

import salt.utils.args
from salt.exceptions import CommandExecutionError, SaltInvocationError

# In an onedir the directory of added packages is made with the first of them, and Python remembers
# of a path that it was not there.
importlib.invalidate_caches()

try:
    import dockerstorage_lib
    from dockerstorage_lib import (
        declaration,
        driverapply,
        driverlook,
        errors,
        export_job,
        export_options,
        export_plan,
        gather,
        history_view,
        import_job,
        import_options,
        lock,
        migrate_commit,
        migrate_plan,
        orphan_job,
        policy,
        poolview,
        provision,
        prune_job,
        reclaim_place,
        remedy,
        rescue_pool,
        selection,
        stuck,
        summary,
        verification,
        watch_settings,
        watcher,
    )
    from dockerstorage_lib import devices as devices_
    from dockerstorage_lib import extend as extend_
    from dockerstorage_lib import health as health_
    from dockerstorage_lib import jobs as jobs_
    from dockerstorage_lib import metrics as metrics_
    from dockerstorage_lib import migrate as migrate_
    from dockerstorage_lib import protect as protect_
    from dockerstorage_lib import reclaim as reclaim_
    from dockerstorage_lib import recover as recover_
    from dockerstorage_lib import remediate as remediate_
    from dockerstorage_lib import report as report_
    from dockerstorage_lib import rescue as rescue_
    from dockerstorage_lib.adapters import engine, engine_export, engine_import, textfile

    IMPORT_ERROR = None
except ImportError as error:
    IMPORT_ERROR = str(error)

log = logging.getLogger(__name__)

__virtualname__ = "dockerstorage"
__func_alias__ = {"import_": "import"}

#: The library that this file was shipped with.
LIBRARY_VERSION = "0.1.0"
#: How long a look at the engine may take; a removal has the adapter's far longer time.
LOOK_SECONDS = 30
#: The same while writers may be waiting for room.
HURRY_SECONDS = 5
PROGRESS_SECONDS = 1.0


def __virtual__():
    if IMPORT_ERROR:
        return False, (
            f"dockerstorage needs the Python packages 'docker' and 'sh' beside Salt: "
            f"{IMPORT_ERROR}. Install them with 'salt-pip install docker sh'"
        )
    if dockerstorage_lib.VERSION != LIBRARY_VERSION:
        return False, (
            f"this module is of version {LIBRARY_VERSION} and the loaded library of "
            f"{dockerstorage_lib.VERSION}: restart the minion, and remove whichever of the "
            "synced and the pip-installed copy is older"
        )
    return __virtualname__


def report(reclaimable=False):
    """
    Show what an operator should know of the host's Docker storage.

    Works with a silent engine, with any storage driver and with no Docker at all, and says in
    ``unseen`` what could not be looked at.

    reclaimable
        Also plan a prune with this host's policy, and tell what it would free. Nothing is removed.

    Returns a dict: ``engine`` (running, version, driver, data_root), ``pool`` (None without a thin
    pool; the fields of ``pool``, ``kind``, and as far as there are: ``vg`` with name, free_bytes
    and missing_devices; ``monitored``, ``autoextend_threshold``, ``autoextend_percent``;
    ``loop_files``), ``forecast`` (of that pool: what ``history`` tells of it, without the samples;
    None if no history was kept), ``reclaimable_bytes`` (only if asked; None if it cannot be known),
    ``counts`` (containers, running, images, volumes, networks), ``configuration`` (the ``driver``
    that counts, None if the engine chooses; its ``options``; the ``file`` and what in it ``says``
    so: a key, a variable or ExecStart; ``unresolved``: what could not be understood),
    ``hidden_store``, ``warnings`` (each with ``code``, ``text``, ``remedy``; conflicts of the
    configuration among them), ``unseen`` (each with ``what``, ``why``), ``loop_files`` (of a
    loop-lvm pool that is not up), ``summary`` (lines to read).

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.report
        salt '*' dockerstorage.report reclaimable=True
    """
    with _salt_errors():
        policy.read_flag("reclaimable", reclaimable)
        data_root = _config().get("data_root")
        sight = report_.look(lambda: _engine(LOOK_SECONDS), time.time(), data_root)
        found = report_.as_dict(sight)
        if reclaimable:
            found["reclaimable_bytes"] = _reclaimable_bytes(found)
        return {**found, "summary": summary.report_lines(found)}


def history(pool=None, days=None):
    """
    Show how full thin pools were, as the beacon saw them, and when they will be full.

    The beacon keeps a sample in five minutes, for 90 days at most: of older ones the fullest of
    each hour (after a day) or of each 8 hours (after a week), in 64 KiB for the whole host.

    pool
        Device-mapper name of a pool; all that were kept if left out.
    days
        Only the samples of the last so many days. The forecast does not depend on it.

    Returns a dict: ``pools`` (by name, each with ``samples``: lists of seconds since the epoch,
    data percent and metadata percent, the oldest first; ``seconds_to_data_full``,
    ``seconds_to_metadata_full`` from now: None if they do not fill, not within a year, or nobody
    knows; ``observed_data_seconds``, ``observed_metadata_seconds``: the time, a week at most, of
    whose rate that is), ``unseen`` (each with ``what``, ``why``: a file that cannot be read, or
    why the beacon cannot write it).

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.history
        salt 'db1' dockerstorage.history docker-thinpool days=7
    """
    with _salt_errors():
        return history_view.show(pool, days, time.time())


def metrics(path=None, reclaimable=False):
    """
    Write the report's figures for the textfile collector of Prometheus' node exporter.

    Call it from a schedule. The file is whole at any moment, and readable for everybody.

    path
        File to write, ending in ``.prom``. Default: ``dockerstorage.prom`` in
        ``/var/lib/prometheus/node-exporter``, or in ``/var/lib/node_exporter/textfile_collector``,
        whichever is there. ``-``: write nothing and return the text.
    reclaimable
        Also plan a prune, for ``dockerstorage_reclaimable_bytes``. Nothing is removed.

    Returns a dict: ``path`` (None if nothing was written), ``series`` (how many), ``text`` (only
    for ``-``). Fails, with nothing written, if there is no such folder or it cannot be written to.
    What cannot be seen of the host has no series, and is no failure.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.metrics
        salt 'db1' dockerstorage.metrics path=-
    """
    with _salt_errors(), lock.held("metrics"):
        target = None if path == "-" else textfile.place(path)
        found = metrics_.metrics(report(reclaimable), time.time())
        told = {"path": target and str(target), "series": sum(len(one.series) for one in found)}
        if target is None:
            return {**told, "text": metrics_.text(found)}
        textfile.write(target, metrics_.text(found))
        return told


def drivers():
    """
    Show which storage drivers this kernel and the data root's file system can run, and why not.

    Works with a silent engine. Whether directories tell the types of files is tried in the data
    root, with a file of a moment.

    Returns a dict: ``drivers`` (the best first; each with ``name``, ``supported``, ``why_not`` and
    ``notes``: lists of sentences), ``recommended`` (a name), ``current``, ``engine_version`` (for
    which the answer holds; None if no Docker is installed), ``kernel``, ``file_system`` (``path``
    of the data root, ``type``, ``source``, ``d_type``: None if it could not be tried), ``summary``
    (lines to read).

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.drivers
    """
    with _salt_errors():
        found = driverlook.look(lambda: _engine(LOOK_SECONDS), _config().get("data_root"))
        return {**found, "summary": summary.drivers_lines(found)}


def set_driver(driver, options=None, test=False, **kwargs):
    """
    Configure the engine's storage driver, and restart it, where nothing is lost from sight.

    If the engine holds images, containers, volumes or build cache that it would not see on that
    driver (or in another pool), it fails: see ``migrate``. The configuration is written to one
    place, checked, and put back if the engine does not start with it. Containers that ran run
    again. An engine that does not run is only configured.

    driver
        The storage driver, as ``overlay2``. See ``drivers``.
    options
        List of storage options (``key=value``). Default: those that are configured and that it
        knows.
    test
        Return the plan, and change nothing.

    Returns a dict: ``action`` (nothing, configure, or with ``test`` also migrate: what is here
    would have to be moved), ``driver``, ``options``, ``from`` (``driver``, ``options``), ``files``
    (that are changed), ``restart``, ``contents`` (names of ``images``, ``containers``,
    ``volumes``, ``cache_records`` that are here), ``why``, ``notes``, ``summary`` (lines to read).
    Fails, with the host as it was, on bad input, a migration that is not over, and whatever stands
    in the way.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.set_driver overlay2 test=True
        salt 'db1' dockerstorage.set_driver devicemapper options='["dm.thinpooldev=/dev/mapper/docker-thinpool"]'
    """  # noqa: E501
    _no_unknown(kwargs)
    with _salt_errors():
        policy.read_flag("test", test)
        wanted = None if options is None else list(policy.texts("options", options))
        act = driverapply.planned if test else driverapply.run
        return act(_import_engine, _config().get("data_root"), driver, wanted)


def pool(name=None):
    """
    Show the cheap figures of a thin pool: one look at the kernel.

    name
        Device-mapper name of the pool; Docker's own if left out.

    Returns a dict: ``name``, ``health`` (ok, out_of_data_space, read_only, needs_check,
    failed), ``level`` (ok, warning, critical, emergency), ``mode``, ``when_full``,
    ``writes_failed`` (they waited for room for too long), ``data`` and ``metadata`` (used_bytes,
    total_bytes, percent; None of a pool that failed, and nothing more), ``needs_check``,
    ``block_bytes``, ``low_water_blocks``, ``transaction_id``,
    ``metadata_snapshot_held``. Fails if there is no such pool.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.pool
    """
    with _salt_errors():
        return poolview.cheap_figures(name or _docker_pool())


def devices():
    """
    List every thin device of Docker's pool, and whose it is.

    Makes ``<data root>/devicemapper/metadata`` and ``.../mnt`` readable. Takes a metadata
    snapshot of the pool and releases it again; seconds on a large pool.

    Returns a list of dicts: ``device_id``, ``hash``, ``owner`` (kind: image layer, container,
    container init, base, buildkit or nobody; id; names), ``size_bytes``, ``mapped_bytes``,
    ``exclusive_bytes`` (no other device maps them), ``deleted``, ``mounts``.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.devices
    """
    with _salt_errors():
        connection = _engine(LOOK_SECONDS)
        found = devices_.list_devices(connection, gather.read_site(connection.info()))
        return devices_.as_list(found)


def watch(
    pools=None,
    levels=None,
    hysteresis=5,
    realert="15m",
    timeout=3,
    memory=None,
    test=False,
):
    """
    Look at thin pools once and tell what is worth an event: what the beacon calls.

    Costs about what a ``dmsetup status`` does, and waits for no disk.

    pools
        Name, or list of names, of pools, as in ``/dev/mapper``; all thin pools of the host if
        left out, whoever made them. A named pool that is not there has the state ``gone``; a
        found one that vanishes is forgotten.
    levels
        Percent of data or metadata, whichever is higher, from which a pool has a level. Default:
        ``{warning: 70, critical: 80, emergency: 90}``.
    hysteresis
        Percentage points below a level's percent at which the level is left again.
    realert
        Time after which a state other than ``ok`` is told again: seconds, or a number with a
        unit (``90m``, ``12h``).
    timeout
        Seconds to wait for the kernel. A pool that does not answer has the state
        ``unresponsive``.
    memory
        Name under which this minion keeps what was seen, from one call to the next, until the
        host boots. Without it a call tells of every pool that is not well, and of no forecast.
        With it a sample in five minutes is kept for ``history``.
    test
        Check the arguments and look at nothing.

    Returns a list of dicts, empty if there is nothing to tell: ``pool``; ``state`` (ok, warning,
    critical, emergency, out_of_data_space, read_only, needs_check, failed, unresponsive, gone)
    and ``previous_state``; ``level`` and ``previous_level``; ``reason`` (changed, kernel event,
    reminder); ``data_percent``, ``metadata_percent``; ``mode``, ``needs_check``;
    ``seconds_to_data_full``, ``seconds_to_metadata_full`` (at the rate of the last looks; None if
    it does not fill or is not known); ``vg_free_bytes``; ``text``. Fails on a wrong argument, and
    where device mapper may not be asked.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.watch
        salt '*' dockerstorage.watch docker-thinpool levels='{warning: 60}'
    """
    with _salt_errors():
        file = watch_settings.memory_file(__opts__["id"], memory)
        wanted = watch_settings.read(pools, levels, hysteresis, realert, timeout, file)
        return [] if test else watcher.look(wanted, time.time())


def prune(
    test=False,
    protect=None,
    protect_names=None,
    min_age=0,
    keep_tags=0,
    volumes=False,
    networks=True,
    build_cache=True,
    until_percent=None,
    own_labels_only=False,
    **kwargs,
):
    """
    Remove what nobody needs, and nothing that is protected or that something protected needs.

    The plan is made first, and exactly the plan is carried out: each object is looked at again
    right before it goes and left if it changed. Nothing is forced.

    test
        Return the plan and change nothing. It comes first, so that a word without a name in
        front (``prune test``) is refused, and not taken for a label.
    protect
        Label, or list of labels, that protect what carries any of them: ``key`` (whatever its
        value) or ``key=value``. Default: ``dockerstorage:protect`` of the minion's
        configuration, else ``protected``.
    protect_names
        Pattern, or list of patterns (``*``, ``?``, ``[set]``), of names to protect: containers,
        tags and repositories of images, volumes, networks. Those of
        ``dockerstorage:protect_names`` always count as well.
    min_age
        Keep what was created, started, stopped, pulled or tagged less than this ago: seconds,
        or a number with a unit (``90m``, ``12h``, ``7d``, ``2w``).
    keep_tags
        Keep the images of this many newest tags of each repository.
    volumes
        ``False`` (default), ``anonymous`` (``True`` means the same) or ``all``; only volumes of
        the local driver without mount options.
    networks
        Whether unused networks go.
    build_cache
        Whether BuildKit's cache goes. It carries no labels.
    until_percent
        Stop as soon as the pool's data and metadata are both at or below this percent.
    own_labels_only
        Look only at labels that an object does not inherit: a container from its image, an
        image from its parent.

    Returns a dict: ``plan`` (``remove`` and ``keep``, each item with ``kind``, ``id``,
    ``name``, ``reason``, removals also with ``bytes``), ``removed``, ``skipped`` (with
    ``why``), ``stopped``, ``bytes_predicted``, ``bytes_source`` (``pool blocks``: exact;
    ``engine's estimate``: on other drivers than devicemapper), ``bytes_freed`` (measured),
    ``pool`` (``before``, ``after``), ``summary`` (lines to read).

    Fails, with nothing removed, on bad input, when another prune runs, when the pool is
    read-only, needs a check or failed, and when a devicemapper store lies hidden under the data
    root of an engine with another driver.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.prune test=True
        salt '*' dockerstorage.prune protect='[protected, keep=yes]' min_age=7d
        salt '*' dockerstorage.prune until_percent=60
    """
    _no_unknown(kwargs)
    with _salt_errors():
        policy.read_flag("test", test)
        wanted = _prune_policy(
            {
                "protect": protect,
                "protect_names": protect_names,
                "min_age": min_age,
                "keep_tags": keep_tags,
                "volumes": volumes,
                "networks": networks,
                "build_cache": build_cache,
                "until_percent": until_percent,
                "own_labels_only": own_labels_only,
            }
        )
        with lock.held("prune"):
            connection = _engine()
            prepared = prune_job.prepare(connection, wanted, time.time())
            if test:
                return prune_job.as_dict(prepared)
            return prune_job.carry_out(
                prepared, wanted, connection, _progress("prune", kwargs.get("__pub_jid"))
            )


def protect(image, label="protected=true", test=False):
    """
    Add a label to images that cannot easily be rebuilt: a labelled image on top, tags switched.

    What the operator would do with a two-line Dockerfile. Each tag points to the old or to the
    new image at any moment. Containers of the old image go on as they are, and the old image
    stays as the parent of the new one. An image that has the label is left as it is.

    image
        Name or id of an image, or a list of them.
    label
        ``key=value`` or ``key``.
    test
        Return what would change and change nothing.

    Returns a list of dicts: ``image``, ``old_id``, ``new_id`` (None in test mode), ``tags``
    (switched), ``moved`` (tags that somebody moved meanwhile, left alone), ``changed``,
    ``note``.

    CLI Example:

    .. code-block:: bash

        salt 'db*' dockerstorage.protect postgres:13
        salt '*' dockerstorage.protect '[app:1, app:2]' label=keep=yes
    """
    return _switch(image, label, test, protect_.plan_protect, protect_.apply_protect)


def unprotect(image, label="protected=true", test=False):
    """
    Take away a label that ``protect`` added: the tags go back to the image below.

    The labelled image is removed if nothing uses it. Fails, with nothing changed, if the label
    came with the image's own build: it must then be built again without it.

    image
        Name or id of an image, or a list of them.
    label
        The label as it was given to ``protect``.
    test
        Return what would change and change nothing.

    Returns the same as ``protect``.

    CLI Example:

    .. code-block:: bash

        salt 'db*' dockerstorage.unprotect postgres:13
    """
    return _switch(image, label, test, protect_.plan_unprotect, protect_.apply_unprotect)


def extend(
    part="data", size=None, to_percent=None, device=None, force_devices=None, pool=None, test=False
):
    """
    Extend a thin pool's data or metadata from its volume group.

    part
        ``data`` or ``metadata``.
    size
        What is added: bytes, or a number with ``K``, ``M``, ``G``, ``T``; all or nothing. Or a
        part of the volume group's free space, as ``100%FREE``.
    to_percent
        Instead of size: add what brings the fill down to this percent, or what is left.
    device
        Disk, or list of disks, to give to the volume group first; refused if anything is on it.
    force_devices
        Those of them that are taken whatever lies on them, unless they are in use.
    pool
        Device-mapper name of the pool, or ``vg/pool``; Docker's own if left out.
    test
        Return what would be done and change nothing.

    Returns a dict: ``pool``, ``part``, ``grow_bytes``, ``missing_bytes`` (wanted and not to be
    had), ``devices`` (taken), ``commands``, ``before`` and ``after`` (the pool's figures). Fails,
    with nothing changed, when the volume group is full (naming how much is missing) and when the
    pool must be repaired first.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.extend size=10G
        salt 'db1' dockerstorage.extend metadata to_percent=50
        salt 'db1' dockerstorage.extend to_percent=60 device=/dev/sdc
    """
    with _salt_errors():
        amount = extend_.read_amount(size, to_percent)
        wanted = extend_.read_part(part)
        disks = policy.texts("device", device)
        forced = policy.texts("force_devices", force_devices)
        with lock.held("pool"):
            volume = extend_.find_volume(pool or _docker_pool())
            before = poolview.cheap_figures(volume.dm_name)
            extension = extend_.plan_extension(volume, wanted, amount, disks, forced)
            if not test:
                extend_.apply_extension(extension)
            return extend_.as_dict(extension, before, test)


def thinpool(name, vg=None, test=False, **kwargs):
    """
    Make an LVM thin pool what is declared, and its automatic extension real.

    Creates physical volumes, the volume group and the pool when absent, grows, never shrinks. A
    pool that somebody else made (docker-storage-setup, Docker itself) is taken as it is, but for
    what is declared. See the state of the same name.

    name, vg
        Names of the pool and of its volume group; or the name alone as ``vg/pool``.
    devices
        Disks for the volume group; refused if anything is on one, unless ``force_devices`` names
        it as well. What is in use is never taken.
    size
        Of the data: bytes, a number with ``K``, ``M``, ``G``, ``T``, or ``80%FREE``, ``50%VG``.
    metadata_size, chunk_size
        Sizes. Defaults for a new pool: one hundredth of the data; 512K.
    autoextend_threshold, autoextend_percent
        Above which fill dmeventd extends the pool, and by how much; 80 and 20 unless the pool has
        values of its own.
    when_full
        ``error`` or ``queue`` (up to a minute, then error).
    zero, discards, monitor
        Whether new blocks are zeroed (Docker needs it not); ``passdown``, ``nopassdown`` or
        ``ignore``; whether dmeventd watches the pool (default True).
    test
        Return what would be done and change nothing.

    Returns a list of dicts in the order of acting: ``what``, ``old``, ``new``, ``command``;
    empty if all is as declared. Fails, with nothing changed, on a device in use or with content,
    a smaller size than the pool has, a property that cannot change, too small a volume group.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.thinpool docker/thinpool devices=/dev/sdb size=95%FREE test=True
    """
    with _salt_errors():
        unknown = set(salt.utils.args.clean_kwargs(**kwargs)) - declaration.ARGUMENTS
        if unknown:
            salt.utils.args.invalid_kwargs({key: kwargs[key] for key in unknown})
        wanted = declaration.read_declaration(name, vg, kwargs)
        with lock.held("pool"):
            steps = provision.plan(wanted) if test else provision.carry_out(wanted)
            return provision.as_list(steps)


def remediate(pool=None, test=False, **kwargs):
    """
    Act on a thin pool that fills up: prune, extend it, take a spare disk; and say what is left.

    Decides from the pool as it is now, does one thing, looks again, and goes on until the pool is
    well or nothing is left. For the reactor, for a schedule, and by hand. Metadata is extended
    before anything else; with data exhausted the pool is extended before anything is pruned, since
    writers wait for at most a minute. A ``read_only``, ``needs_check`` or ``failed`` pool is never
    pruned.

    The policy comes from ``dockerstorage:remediate`` of minion config or pillar; arguments of the
    same names come first:

    trigger_percent
        Fill of data or metadata from which something is done (80).
    target_percent
        Fill that a remedy aims at (60).
    order
        Remedies that are allowed, in order (``[prune, extend, spare]``).
    cooldown
        Time after a remedy in which none is tried, unless the pool takes no writes any more:
        seconds, or a number with a unit (60).
    spare_devices
        Disks that may be given to the volume group; one with anything on it is not taken.
    prune
        Mapping of arguments of ``dockerstorage.prune``, as ``{min_age: 1d}``.

    pool
        Device-mapper name of the pool; Docker's own if left out.
    test
        Say what would be done first, and do nothing.

    Returns a dict: ``before`` and ``after`` (the pool's figures), ``decision`` (what, or why
    nothing more, is to be done), ``done`` (a dict for each remedy: ``remedy``, ``part``, ``why``,
    and ``result`` or ``error``), ``solved``. Fires ``dockerstorage/<jid or local>/remediate/alert``
    when the pool is not well in the end, or when writes had failed before.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.remediate test=True
        salt '*' dockerstorage.remediate trigger_percent=70 order='[extend]'
    """
    with _salt_errors():
        given = salt.utils.args.clean_kwargs(**kwargs)
        wanted = remedy.read_policy({**_config().get("remediate", {}), **given})
        name = pool or _docker_pool()
        prune_policy = _prune_policy({**wanted.prune, "until_percent": wanted.target_percent})

        def prune_now():
            with lock.held("prune"):
                connection = _engine()
                prepared = prune_job.prepare(connection, prune_policy, time.time())
                return prune_job.carry_out(prepared, prune_policy, connection, lambda _: None)

        found = remediate_.run(name, wanted, lambda: _engine(HURRY_SECONDS), prune_now, test)
        harmed = found["before"].get("writes_failed", False)
        if (harmed or not found["solved"]) and not test:
            alert = {"pool": name, "text": found["decision"], "after": found["after"]}
            _fire(f"{_tag(kwargs.get('__pub_jid'))}/remediate/alert", alert)
        return found


def recover(pool=None, spare_devices=None, patience=30, test=False, **kwargs):
    """
    Bring back a host that is stuck on Docker's thin pool: a full pool under a daemon that hangs, a
    pool that must be checked and repaired, devices that are in use and belong to nobody any more.

    Look at the plan first (``test=True``). Then, as far as each is needed: extends the pool (free
    space of the volume group, spare disks); releases a metadata snapshot that nobody reads; ends
    the daemon if it still does not answer (SIGTERM, then SIGKILL); unmounts, in every mount
    namespace, devices that are no running container's root, and removes their device-mapper nodes;
    deletes what Docker marked as deleted, if the pool cannot be extended; repairs the metadata
    (that ends the running containers, and keeps the old metadata); starts the daemon; looks again.
    After each step the host is looked at anew: what has become needless is not done. It stops at
    the first step that fails. A host that is well is left as it is. No data of images, containers
    or volumes is removed.

    pool
        Name of Docker's pool (``vg/pool`` or as in ``/dev/mapper``), if it is not found by itself.
    spare_devices
        Disks that may be given to the volume group; default:
        ``dockerstorage:remediate:spare_devices`` of minion config or pillar.
    patience
        Time that the daemon gets to answer before it counts as hanging, and to end before it is
        killed: seconds, or a number with a unit (30).
    test
        Return the plan and change nothing.

    Returns a dict: ``plan`` (each step with ``step``, ``why``, ``what``), ``done`` (the same with
    ``result`` or ``error``), ``stopped`` (why it did not go on, and what to do; None if it did),
    ``recovered``, ``kept`` (the old metadata's volume, copies of removed files), ``not_running``
    (containers that ran before and do not now), ``advice`` (what is left to do on a host that is
    back, as to make room in a pool that is nearly full; or None), ``record`` (folder with a record
    of each step), ``before`` and ``after`` (the pool's figures), ``summary`` (lines to read).
    Fails, with nothing changed, if Docker has no thin pool here or another recovery runs.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.recover test=True
        salt 'db1' dockerstorage.recover spare_devices=/dev/sdc
    """
    _no_unknown(kwargs)
    with _salt_errors():
        given = {} if spare_devices is None else {"spare_devices": spare_devices}
        wanted = remedy.read_policy({**_config().get("remediate", {}), **given})
        seconds = max(policy.read_age(patience, "patience"), 1)
        host = stuck.find(
            pool,
            _config().get("data_root"),
            lambda: _engine(seconds),
            wanted.spare_devices,
        )
        progress = _progress("recover", kwargs.get("__pub_jid"))
        return recover_.run(host, wanted, seconds, time.time(), progress, test)


def orphans(remove=False, stop_docker=False, test=False, **kwargs):
    """
    List what a devicemapper store holds for nobody, and remove it.

    Left-overs of engines that were killed, of moved files and of work by hand, in seven classes:
    ``unreferenced_mount``, ``unreferenced_layer``, ``removing``, ``deferred_delete``,
    ``unreferenced_device``, ``metadata_without_device``, ``device_without_metadata``. Devices of
    BuildKit's cache are none of them. What is in use, or may be somebody's, is ``kept``. A removal
    stops the engine (and with it its containers), keeps a copy of the pool's metadata and of each
    file, removes names before what they name, looks again, and starts what ran.

    remove
        Remove them. Without it they are listed; a list changes nothing but takes, and releases, a
        metadata snapshot of the pool.
    stop_docker
        Leave to stop a running engine for the removal, and start it again.
    test
        With remove: list what would go, and change nothing.

    Returns a dict: ``orphans`` (each with ``class``, ``name``, ``paths`` below ``data_root``,
    ``device_ids``, ``bytes`` that go free in the pool, ``evidence``, ``kept``: why it stays, or
    None), ``bytes``, ``doubts`` (what cannot be read: nothing is removed while there is any),
    ``removed``, ``gone`` (the engine removed them itself when it ended), ``kept``, ``new`` (seen
    only after the stop, and left alone),
    ``bytes_predicted``, ``bytes_freed``, ``record`` (folder with the copies), ``stopped_seconds``,
    ``not_running`` (containers that ran and do not now), ``summary`` (lines to read). Fails, with
    nothing removed, for another driver, doubts, a pool that is not that of the files, a running
    engine without ``stop_docker=True``.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.orphans
        salt 'db1' dockerstorage.orphans remove=True stop_docker=True
    """
    _no_unknown(kwargs)
    with _salt_errors():
        for name, value in (("remove", remove), ("stop_docker", stop_docker), ("test", test)):
            policy.read_flag(name, value)
        data_root = _config().get("data_root")
        if test or not remove:
            found = orphan_job.listed(orphan_job.look(_import_engine, data_root))
            return {**found, "summary": summary.orphan_lines(found)}
        teller = _teller("orphans", kwargs)
        with (
            lock.held("pool"),
            jobs_.running("orphans", "remove", time.time(), teller) as job,
        ):
            seen = orphan_job.look(_import_engine, data_root)
            orphan_job.check(seen, stop_docker)
            found = orphan_job.carry_out(_import_engine, seen, job)
        return {**found, "summary": summary.orphan_lines(found)}


def reclaim(stop_docker=False, trim=False, test=False, **kwargs):
    """
    Give back to the file system what loop-lvm's sparse data file holds and its pool does not use.

    Holes are made in the file where no device of the pool maps a block, with the engine stopped and
    the pool inactive; never by ``thin_trim``, whose older releases destroy data. What images,
    containers and volumes hold stays as it is, byte for byte. A run that is cut, by a loss of power
    too, leaves all of it whole, and a repeat does the rest. Of a store that no engine serves any
    more, as after a migration, nothing needs to be stopped.

    stop_docker
        The engine and its containers may be stopped; all that ran is started again. If there is
        nothing to give back nothing is stopped.
    trim
        First have the file systems of running containers tell the pool which of their blocks are
        free (as fstrim(8) does). Alone, without ``stop_docker``, on an engine that runs: only that.
    test
        Tell what the holes would give back, and change nothing. What a trim frees cannot be told
        before.

    Returns a dict, sizes in bytes: ``data_file``, ``allocated_bytes_before``,
    ``allocated_bytes_after``, ``allocated_bytes_predicted`` (what of the file's content is on disk;
    ``du`` adds the file system's own list of its parts), ``freed_bytes``, ``trimmed`` (each with
    ``container``, ``free_bytes`` in its file system, ``freed_bytes`` of the file, ``why_not``),
    ``stopped_seconds`` (None if nothing was stopped), ``not_running`` (containers that ran before
    and do not now), ``record`` (folder with the record, or None), ``summary`` (lines to read); in
    test mode ``needs_stop``. Fires ``dockerstorage/<jid or local>/reclaim/progress``. Fails, with
    nothing changed, for a pool that is not loop-lvm, one that is damaged or in use, and an engine
    that must not be stopped.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.reclaim test=True
        salt 'db1' dockerstorage.reclaim stop_docker=True
        salt 'db1' dockerstorage.reclaim trim=True
    """
    _no_unknown(kwargs)
    with _salt_errors():
        for name, value in (("stop_docker", stop_docker), ("trim", trim), ("test", test)):
            policy.read_flag(name, value)
        with lock.held("pool"):
            place = reclaim_place.find(_import_engine, _config().get("data_root"))
            if test:
                return reclaim_.preview(place)
            teller = _teller("reclaim", kwargs)
            with jobs_.running("reclaim", str(place.data), time.time(), teller) as job:
                return reclaim_.run(place, _import_engine, stop_docker, trim, time.time(), job)


def export(
    dest,
    containers=None,
    images=None,
    volumes=None,
    networks=None,
    labels=None,
    logs=False,
    consistent=True,
    replace=False,
    level=3,
    inside_data_root=False,
    check_room=True,
    test=False,
    **kwargs,
):
    """
    Write images, containers, volumes and networks to a bundle: a directory that can be verified.

    Everything by default. What a chosen object needs comes along: a container's image, volumes and
    networks, an image's parents. A container that runs is paused while its files and volumes are
    read, never stopped, and goes on whatever happens to the export. An export that was cut goes on
    where it was when it is called again for the same place.

    dest
        Path of the directory to make; the one above it must exist. Until the bundle is whole it
        is called ``.<name>.partial``.
    containers, images, volumes, networks
        Names, ids or patterns (``*``, ``?``, ``[set]``) to choose by, one or a list of each.
    labels
        Label, or list of labels (``key`` or ``key=value``), to choose by.
    logs
        Whether the containers' logs are taken.
    consistent
        ``False``: pause nothing; what is written to meanwhile may then not fit together.
    replace
        Take the place of an older bundle, in one step, when the new one is whole.
    level
        Of compression, 1 (fast) to 19 (small).
    inside_data_root
        Allow a place below the engine's data root.
    check_room
        ``False``: begin even if the place may be too small.
    test
        Say what would be written, with an estimate of its bytes, and write nothing.

    Returns a dict: ``bundle``, ``id``, ``images``, ``containers``, ``volumes``, ``networks``
    (names), ``not_taken`` (each with ``kind``, ``id``, ``name``, ``why``), ``complete`` (False if
    something could not be read), ``bytes``, ``plain_bytes`` (before compression), ``reused``
    (objects of an export that was cut), ``paused_seconds`` (by container), ``estimated_bytes``,
    ``free_bytes``, ``summary`` (lines to read). Fires ``dockerstorage/<jid or
    local>/export/progress``. Fails, with nothing written, on bad input, where there is something
    already, below the data root, and where there may be too little room.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.export /srv/backup/db1 test=True
        salt 'db1' dockerstorage.export /srv/backup/web containers='web-*' logs=True
    """
    _no_unknown(kwargs)
    with _salt_errors():
        options = export_options.read_options(consistent, logs, level)
        wanted = selection.read_wanted(
            labels, containers=containers, images=images, volumes=volumes, networks=networks
        )
        place = export_job.read_dest(dest, replace)
        connection = _export_engine()
        site = gather.read_site(connection.info())
        plan = export_plan.plan_export(connection, site, wanted)
        export_job.check_place(place, plan, inside_data_root, check_room)
        if test:
            return export_job.as_dict(plan, place, None)
        with jobs_.running("export", str(place), time.time(), _teller("export", kwargs)) as job:
            return export_job.carry_out(plan, connection, place, options, job, time.time)


def rescue(
    source,
    dest=None,
    pool=None,
    containers=None,
    images=None,
    volumes=None,
    networks=None,
    labels=None,
    logs=True,
    replace=False,
    level=3,
    inside_data_root=False,
    check_room=True,
    test=False,
    **kwargs,
):
    """
    Take all out of a devicemapper store that no engine serves any more, into a bundle.

    For a host whose engine was upgraded to Docker 25 or later, which knows devicemapper no more;
    for disks of a host that is gone; for a damaged pool. Nothing of the store is written to, and
    the kernel needs no device mapper: blocks are read as thin_dump(8) maps them. Images keep their
    ids: each layer must have its digest. The bundle is what ``export`` writes: ``verify`` and
    ``import`` take it. A rescue that was cut goes on where it was.

    source
        The data root in which the store lies, as ``/var/lib/docker``.
    dest
        Path of the directory to make, as for ``export``. What is damaged is kept beside it, in
        ``<dest>.damaged``.
    pool
        The thin pool, if it is not in the data root (loop-lvm): ``vg/pool`` of LVM, or a mapping
        with the paths of ``data`` and ``metadata``: block devices or image files of them.
    containers, images, volumes, networks, labels, replace, level, inside_data_root, check_room
        As for ``export``.
    logs
        Whether the containers' logs are taken.
    test
        List what is there, and write nothing.

    Returns a dict: ``images`` (each with ``id``, ``tags``, ``bytes``), ``containers`` (``id``,
    ``name``, ``image``, ``status``, ``bytes`` of its own in the pool), ``volumes`` (``name``,
    ``bytes``), ``networks``, ``damaged`` and ``not_taken`` (each with ``kind``, ``id``, ``name``,
    ``why``), ``estimated_bytes``, ``source``, ``summary`` (lines to read); after a rescue also
    ``bundle``, ``id``, ``bytes``, ``plain_bytes``, ``complete``, ``reused``, ``apart`` (where the
    damaged is kept, or None). Fires ``dockerstorage/<jid or local>/rescue/progress``. Fails, with
    nothing written, on bad input, a store that is in use, and too little room.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.rescue /var/lib/docker test=True
        salt 'db1' dockerstorage.rescue /var/lib/docker dest=/srv/backup/db1 pool=docker/thinpool
        salt 'lab' dockerstorage.rescue /mnt/docker dest=/srv/db1 pool='{data: /mnt/d, metadata: /mnt/m}'
    """  # noqa: E501
    _no_unknown(kwargs)
    with _salt_errors():
        policy.read_flag("test", test)
        options = export_options.read_options(False, logs, level)
        wanted = selection.read_wanted(
            labels, containers=containers, images=images, volumes=volumes, networks=networks
        )
        root = rescue_.read_source(source)
        parts = rescue_pool.read_pool(pool)
        if dest is None and not test:
            raise errors.BadInput("dest: say where the bundle is to go, or test=True")
        place = None if dest is None else export_job.read_dest(dest, replace)
        with (
            lock.held("rescue"),
            rescue_.scratch_folder(place) as folder,
            rescue_.opened(root, parts, wanted, folder) as found,
        ):
            if test or place is None:
                return rescue_.listed(found)
            export_job.check_place(place, found.plan, inside_data_root, check_room)
            rescue_.check_room(found, folder)
            teller = _teller("rescue", kwargs)
            with jobs_.running("rescue", str(place), time.time(), teller) as job:
                return rescue_.carry_out(found, place, folder, options, job, time.time)


def verify(bundle, max_ratio=1000, max_age=None, absent_ok=False, **kwargs):
    """
    Check a bundle: every digest, every archive, and that nothing that is needed is missing.

    bundle
        Path of a bundle.
    max_ratio
        How many times larger than its file an object may be, if it is larger than 1 GiB (1000).
    max_age
        Seconds, or a number with a unit (``7d``), up to which the bundle is ``fresh``.
    absent_ok
        Return None, and do not fail, if there is no bundle.

    Returns a dict: ``valid``; ``fresh``; ``damaged`` (each with ``file``, ``object``, ``why``);
    ``missing`` (sentences); ``not_taken`` (what the export left out, and why); ``id``,
    ``created`` (seconds since the epoch), ``host``, ``counts``, ``bytes``, ``plain_bytes``,
    ``summary`` (lines to read). Fails if there is no bundle.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.verify /srv/backup/db1
    """
    _no_unknown(kwargs)
    with _salt_errors():
        oldest = None if max_age is None else time.time() - policy.read_age(max_age, "max_age")
        path = export_job.read_path("bundle", bundle)
        if absent_ok and not path.exists():
            return None
        with jobs_.running("verify", bundle, time.time(), _teller("verify", kwargs)) as job:
            found = verification.verify(path, job.reach, max_ratio)
        found["fresh"] = oldest is None or found["created"] >= oldest
        return {**found, "summary": summary.verify_lines(found)}


def jobs():
    """
    Show the long work that is under way on this host, and how far it is.

    Returns a list of dicts, the oldest first: ``operation`` (export, import, verify), ``subject``
    (the bundle), ``pid``, ``started_at`` (seconds since the epoch), ``done_bytes``,
    ``total_bytes`` (an estimate), ``bytes_per_second``, ``now`` (the object that is worked on).

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.jobs
    """
    return jobs_.listed()


def import_(bundle, rename=None, only=None, on_conflict="fail", start=False, test=False, **kwargs):
    """
    Put back what a bundle holds: images, networks, volumes, containers, in this order.

    All that is to be imported is read and checked before anything is changed. Nothing that is on
    the host is overwritten unless told. A second import of a bundle changes nothing; one that
    broke off goes on when it is repeated. Privileged containers and bind mounts come back as they
    were: import only what you trust.

    bundle
        Path of a bundle.
    rename
        Mapping of names in the bundle to names on this host: ``old: new`` or ``kind:old: new``
        (kind: image, network, volume, container). What containers say of each other follows.
    only
        Pattern (``*``, ``?``, ``[set]``), or list of patterns, of the names to import, each also
        as ``kind:pattern``. What a container needs comes along.
    on_conflict
        What to do about objects that are here already and differ: ``fail`` (default; nothing is
        changed), ``skip`` them, ``replace`` them (a container when the new one is whole).
    start
        Start the containers that ran when they were exported.
    test
        Return the plan, conflicts included, and change nothing.

    Returns a dict: ``plan`` (each with ``kind``, ``name``, ``new_name``, ``action``: create,
    replace, exists, skip or conflict, ``why``, ``bytes``), ``bytes``, ``imported`` (with the new
    ``id``), ``skipped`` (with ``why``), ``different`` (what is not as it was), ``started``,
    ``not_started``, ``mapping`` (old to new names and ids), ``not_taken`` (by the export), ``id``
    and ``host`` of the bundle, ``summary`` (lines to read). Fires ``dockerstorage/<jid or
    local>/import/progress``. Fails, with nothing changed, on bad input, a damaged bundle, a
    conflict, too little room; and if it broke off, with what was imported by then.

    CLI Example:

    .. code-block:: bash

        salt 'db2' dockerstorage.import /srv/backup/db1 test=True
        salt 'db2' dockerstorage.import /srv/backup/db1 only='web*' rename='{web: web-old}'
        salt 'db2' dockerstorage.import /srv/backup/db1 on_conflict=replace start=True
    """
    _no_unknown(kwargs)
    with _salt_errors():
        options = import_options.read_options(rename, only, on_conflict, start)
        path = export_job.read_path("bundle", bundle)
        connection = _import_engine()
        with lock.held("import"), lock.held("prune"):
            prepared = import_job.prepare(path, options, connection)
            if test:
                return import_job.planned(prepared)
            with jobs_.running("import", str(path), time.time(), _teller("import", kwargs)) as job:
                return import_job.carry_out(prepared, connection, job)


def migrate(
    driver=None,
    options=None,
    method=None,
    resume=False,
    rollback=False,
    force=False,
    test=False,
    **kwargs,
):
    """
    Move images and containers to another storage driver, with nothing lost and a short stop.

    The new store is written beside the old one while the engine serves. Then the engine and its
    containers are stopped, what containers changed is added, the engine is started on the new
    store, all objects are compared with those of before, and what ran is started again. If a step
    fails the host goes back to the old store by itself. Ids, names, logs, restart counts, labels,
    networks and volumes stay. BuildKit's cache does not come along. The old store is left as it
    is, and can be gone back to, until ``commit`` removes it.

    driver
        The storage driver to move to, as ``overlay2``. See ``drivers``.
    options
        List of storage options (``key=value``) for it. Default: those that are configured and that
        it knows.
    method
        ``graft`` (from devicemapper to overlay2, and the default there) or ``bundle`` (any driver
        to devicemapper, overlay2, vfs or btrfs, also the same one again).
    resume
        Go on with a migration that was cut by a kill or a loss of power.
    rollback
        Go back to the old store, from whatever point, until it is committed.
    force
        With ``rollback``: even if objects came to exist since the switch, which will be out of
        sight. Else: even if containers of ``--rm`` run, which end with the stop.
    test
        Return the plan with its estimates, and what would be refused, and change nothing.

    Returns a dict: ``from``, ``to``, ``method``, ``outcome`` (switched, rolled back, abandoned),
    ``steps`` (each with ``step``, ``what``, ``state``, ``seconds``), ``downtime_seconds``,
    ``not_running``, ``next`` (what can be done now), ``id``, ``data_root``, ``began_at`` (seconds
    since the epoch), ``rolling_back``, ``failure`` (why a step failed, or None), ``new_objects``
    (that came to exist since the switch), ``summary`` (lines to read); in test mode ``possible``,
    ``obstacles``, ``notes``, ``layer_bytes``, ``container_bytes``, ``free_bytes``,
    ``estimated_seconds``, ``estimated_downtime_seconds``, ``files`` (of the configuration that are
    changed). Fires ``dockerstorage/<jid or local>/migrate/progress``. Fails, with nothing changed,
    on bad input and whatever stands in the way; and, with the host back on its old store, if a step
    fails.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.migrate overlay2 test=True
        salt 'db1' dockerstorage.migrate overlay2
        salt 'db1' dockerstorage.migrate rollback=True
    """
    _no_unknown(kwargs)
    with _salt_errors():
        for name, value in (("test", test), ("resume", resume), ("rollback", rollback)):
            policy.read_flag(name, value)
        policy.read_flag("force", force)
        if [driver is not None, resume, rollback].count(True) != 1:
            raise errors.BadInput("say one of driver=..., resume=True, rollback=True")
        teller = _teller("migrate", kwargs)
        if driver is None:
            if test:
                return migration()
            with jobs_.running("migrate", "resume", time.time(), teller) as job:
                if resume:
                    return migrate_.resume(_import_engine, job)
                return migrate_.roll_back(_import_engine, job, force)
        wanted = None if options is None else policy.texts("options", options)
        prepared = migrate_plan.prepare(
            _import_engine(), driver, wanted, method, time.time(), force
        )
        if test:
            return migrate_plan.as_dict(prepared)
        migrate_plan.refuse(prepared)
        with jobs_.running("migrate", prepared.plan.target, time.time(), teller) as job:
            job.total_bytes = prepared.layer_bytes + prepared.container_bytes
            return migrate_.run(prepared.plan, _import_engine, job)


def migration():
    """
    Tell where the migration of this host stands, and what can be done next.

    Returns what ``migrate`` does; None if there is no migration that is under way or waits for
    its commit.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.migration
    """
    with _salt_errors():
        return migrate_.status()


def health(expected=None, wait=0):
    """
    Tell whether Docker serves here as it should: what a rolling change asks after each host.

    Works with a silent engine. Problems are: the engine does not answer; its pool is not
    writable, needs a check, or is at the level ``emergency`` (90 %); a container restarts all the
    time, is dead, fails its health check, or ended though its restart policy is ``always``; a
    migration is half-way.

    expected
        Name, or list of names, of containers that must run.
    wait
        Seconds, or a number with a unit (``5m``), to wait until there is no problem and no health
        check is still starting.

    Returns a dict: ``healthy``; ``problems`` (sentences) and their ``kinds`` (engine, pool,
    pool_full, container, migration); ``driver`` (None if the engine does not answer); ``pool``
    (as ``dockerstorage.pool`` tells it; None without one); names of containers that are
    ``running``, and of those ``starting``, whose health check has not passed yet; ``migration``
    and ``jobs``, as the functions of these names tell them. Fails on a wrong argument.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage.health
        salt 'db1' dockerstorage.health expected='[web, db]' wait=2m
    """
    with _salt_errors():
        names = policy.texts("expected", expected)
        seconds = policy.read_age(wait, "wait")
        data_root = _config().get("data_root")
        return health_.await_health(
            lambda: health_.look(lambda: _import_engine(LOOK_SECONDS), data_root), names, seconds
        )


def commit(test=False, **kwargs):
    """
    Remove the store that a migration left behind, when the one in use is found whole.

    After a migration that is the old store; there is no way back then. After a rollback it is the
    new store that was given up. Every layer is read and compared with its digest first. Thin
    devices go from a pool of LVM, whose volumes stay: ``lvremove`` is yours.

    test
        Check, tell what would go, and remove nothing.

    Returns a dict: ``driver`` (in use), ``removed`` (paths), ``thin_devices`` (how many),
    ``bytes_freed``, ``record`` (folder of the migration's journal), ``summary`` (lines to read).
    Fails, with nothing removed, if there is nothing to commit or anything does not verify.

    CLI Example:

    .. code-block:: bash

        salt 'db1' dockerstorage.commit test=True
        salt 'db1' dockerstorage.commit
    """
    _no_unknown(kwargs)
    with _salt_errors():
        policy.read_flag("test", test)
        if test:
            found = migrate_commit.run(_import_engine, None)
        else:
            with jobs_.running(
                "commit", "migration", time.time(), _teller("commit", kwargs)
            ) as job:
                found = migrate_commit.run(_import_engine, job)
        return {**found, "summary": summary.commit_lines(found)}


def _switch(image, label, test, plan, apply):
    """Plan for all images before the first is touched, then carry the plans out."""
    with _salt_errors():
        rule = policy.read_label(label, "label")
        images = protect_.image_names(image)
        with lock.held("prune"):
            connection = _engine()
            plans = [plan(connection, name, rule) for name in images]
            done = [
                one if test or not one.changes else apply(one, rule, connection) for one in plans
            ]
            return [protect_.as_dict(one) for one in done]


def _config():
    """The settings of minion configuration and pillar, the former first, but all names to protect.

    Not ``config.get``: it stops at the first place that has any setting of ours, and what pillar
    protects would not count on a minion with a ``docker_url`` of its own.
    """
    found = {}
    for place in (__pillar__, __opts__):
        part = place.get("dockerstorage", {})
        if not isinstance(part, dict):
            raise SaltInvocationError("the configuration key 'dockerstorage' must hold a mapping")
        names = [*found.get("protect_names", ()), *_names_to_protect(part)]
        found = {**found, **part, "protect_names": names}
    for key in ("docker_url", "data_root"):
        if not isinstance(found.get(key, ""), str):
            raise SaltInvocationError(
                f"the configuration key 'dockerstorage:{key}' must hold a text, not {found[key]!r}"
            )
    return found


def _names_to_protect(mapping):
    return policy.texts("protect_names", mapping.get("protect_names"))


def _prune_policy(arguments):
    """Read the arguments of a prune; the minion's configuration fills in and adds."""
    config = _config()
    protect = arguments.get("protect")
    return policy.make_policy(
        **{
            **arguments,
            "protect": config.get("protect", "protected") if protect is None else protect,
            "protect_names": [*_names_to_protect(arguments), *config["protect_names"]],
        }
    )


def _reclaimable_bytes(found):
    """What a prune would free; None, and an entry in the report's ``unseen``, if nobody knows."""
    try:
        if not found["engine"]["running"]:
            raise errors.EngineUnreachable("only the engine knows, and it does not answer")
        with lock.held("prune"):
            connection = _engine(LOOK_SECONDS)
            return prune_job.reclaimable_bytes(connection, _prune_policy({}), time.time())
    except (errors.DockerstorageError, OSError) as error:
        found["unseen"].append({"what": "reclaimable bytes", "why": str(error)})
        return None


def _engine(timeout_seconds=None):
    url = _config().get("docker_url", engine.DEFAULT_URL)
    if timeout_seconds is None:
        return engine.Engine(url)
    return engine.Engine(url, timeout_seconds)


def _export_engine():
    return engine_export.ExportEngine(_config().get("docker_url", engine.DEFAULT_URL))


def _import_engine(timeout_seconds=None):
    url = _config().get("docker_url", engine.DEFAULT_URL)
    if timeout_seconds is None:
        return engine_import.ImportEngine(url)
    return engine_import.ImportEngine(url, timeout_seconds)


def _docker_pool():
    """The name of Docker's pool. The engine is asked last: it may hang with a full pool."""
    found = poolview.find_pool_name(_config().get("data_root"))
    if found is not None:
        return found
    site = gather.read_site(_engine(LOOK_SECONDS).info())
    if site.pool is None:
        raise errors.Refused(
            f"the engine's storage driver is {site.driver}: it has no thin pool. Name a pool "
            "to look at another one"
        )
    return site.pool


def _no_unknown(kwargs):
    unknown = salt.utils.args.clean_kwargs(**kwargs)
    if unknown:
        salt.utils.args.invalid_kwargs(unknown)


def _progress(operation, jid):
    """A function that fires progress events, at most one a second."""
    tag = f"{_tag(jid)}/{operation}/progress"
    last = float("-inf")

    def fire(data):
        nonlocal last
        if time.monotonic() - last >= PROGRESS_SECONDS or data["done"] == data["total"]:
            last = time.monotonic()
            _fire(tag, data)

    return fire


def _teller(operation, kwargs):
    """A function that fires the progress of a job, which itself sees to it that they are few."""
    tag = f"{_tag(kwargs.get('__pub_jid'))}/{operation}/progress"
    return lambda data: _fire(tag, data)


def _tag(jid):
    return f"dockerstorage/{jid or 'local'}"


def _fire(tag, data):
    """Send an event to the master, if there is one."""
    if __opts__.get("file_client") == "local" and not __opts__.get("use_master_when_local"):
        return
    __salt__["event.send"](tag, {"minion": __opts__.get("id"), **data})


@contextlib.contextmanager
def _salt_errors():
    """Turn the core's errors into Salt's, sorted by who must act."""
    try:
        yield
    except errors.BadInput as error:
        raise SaltInvocationError(str(error)) from None
    except errors.DockerstorageError as error:
        raise CommandExecutionError(str(error)) from None
