"""
The formula's view of its pillar
================================

What ``salt/formulas/dockerstorage`` asks while it is rendered (``settings``,
``reactors_elsewhere``), and the check of a pillar by hand (``check``). Needs nothing but Salt, so
that the formula can install what the module ``dockerstorage`` needs.
"""

from pathlib import Path

import salt.utils.files
import salt.utils.yaml
from salt.exceptions import SaltInvocationError

try:
    import dockerstorage_lib
    from dockerstorage_lib import errors, formula

    IMPORT_ERROR = None
except ImportError as error:
    IMPORT_ERROR = str(error)

__virtualname__ = "dockerstorage_formula"

#: The library that this file was shipped with.
LIBRARY_VERSION = "0.1.0"


def __virtual__():
    if IMPORT_ERROR:
        return False, (
            f"dockerstorage_formula does not find the library of its project ({IMPORT_ERROR}): run "
            "saltutil.sync_all, which brings modules and library together"
        )
    if dockerstorage_lib.VERSION != LIBRARY_VERSION:
        return False, (
            f"dockerstorage_formula is of version {LIBRARY_VERSION} and the loaded library of "
            f"{dockerstorage_lib.VERSION}: restart the minion, and remove whichever of the synced "
            "and the pip-installed copy is older"
        )
    return __virtualname__


def check(pillar=None):
    """
    Check the minion's pillar, as far as it is the formula's, and change nothing.

    pillar
        What lies under the key ``dockerstorage``, to check that instead of the minion's own.

    Returns a dict: ``valid``, and ``problems``: a sentence for each key or value that cannot be
    used, with its path (``dockerstorage:prune:min_age``) and what is allowed.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage_formula.check
        salt '*' dockerstorage_formula.check '{prune: {enabled: True, min_age: 7d}}'
    """
    found = formula.problems(__pillar__.get(formula.KEY, {}) if pillar is None else pillar)
    return {"valid": not found, "problems": found}


def settings(pillar, *defaults):
    """
    Return what the formula goes by: the pillar's keys, each section's put over its defaults.

    pillar
        What lies under the pillar's key ``dockerstorage``.
    defaults
        Mappings of the same form; what comes later counts before what comes earlier.

    Returns a dict of sections. Fails, naming all that is wrong with its path, on a key or value
    that cannot be used.

    CLI Example:

    .. code-block:: bash

        salt '*' dockerstorage_formula.settings '{prune: {enabled: True}}' '{prune: {min_age: 7d}}'
    """
    try:
        return formula.settings(pillar, *defaults)
    except errors.BadInput as error:
        raise SaltInvocationError(str(error)) from None


def reactors_elsewhere(file):
    """
    List the configuration files of this host's master, beside one, that set its ``reactor``.

    A master does not add up the lists of several files: the last file's is all that counts.

    file
        Path of the file that is not to be listed, as ``/etc/salt/master.d/dockerstorage.conf``;
        the others are looked for beside it, and as ``master`` above it.

    Returns a dict: by path, the tags that are reacted to.

    CLI Example:

    .. code-block:: bash

        salt 'master' dockerstorage_formula.reactors_elsewhere /etc/salt/master.d/dockerstorage.conf
    """
    own = Path(file)
    found = {}
    for path in (own.parent.parent / "master", *sorted(own.parent.glob("*.conf"))):
        if path != own and path.is_file():
            with salt.utils.files.fopen(str(path)) as text:
                configuration = salt.utils.yaml.safe_load(text) or {}
            if configuration.get("reactor"):
                entries = configuration["reactor"]
                found[str(path)] = [tag for entry in entries for tag in entry]
    return found
