"""Runs in a minion's Python: Salt's own loader answers many questions in one process.

    probe.py <minion configuration> <file for the answers> < questions.json

A question is a list: a function's name, its positional and its keyword arguments. An answer holds
``return``, or ``error`` (the exception's class) with ``text``. Names that begin with ``probe.`` are
answered here.
"""

import json
import sys

import salt.client
import salt.config
import salt.loader


def main():
    config_file, answers_file = sys.argv[1:]
    caller = salt.client.Caller(config_file)
    own = {
        "probe.configured": lambda settings, name, *args, **kwargs: _configured(
            config_file, settings, name, *args, **kwargs
        ),
        "probe.files": lambda names: _files(caller, names),
        "probe.validate": lambda configs: _validate(caller, configs),
    }
    answers = []
    for name, args, kwargs in json.load(sys.stdin):
        try:
            found = own[name](*args, **kwargs) if name in own else caller.cmd(name, *args, **kwargs)
            answers.append({"return": found})
        except Exception as error:
            answers.append({"error": type(error).__name__, "text": str(error)})
    with open(answers_file, "w") as file:  # noqa: PTH123
        json.dump(answers, file)


def _files(caller, names):
    """The files that functions come from, and the library's."""
    import dockerstorage_lib

    found = {name: caller.sminion.functions[name].__code__.co_filename for name in names}
    return {**found, "library": dockerstorage_lib.__file__}


def _configured(config_file, settings, name, *args, **kwargs):
    """What a function of a minion with other settings returns; raises what it raises."""
    opts = salt.config.minion_config(config_file)
    opts.update(settings)
    return salt.client.Caller(mopts=opts).cmd(name, *args, **kwargs)


def _validate(caller, configs):
    """What the beacon's validate says to each configuration; raises what it raises."""
    beacons = salt.loader.beacons(caller.opts, caller.sminion.functions)
    return [beacons["dockerstorage.validate"](config) for config in configs]


if __name__ == "__main__":
    main()
