"""Packaging: the same files serve a Salt file server (synced) and a wheel (installed).

Packages are listed by hand: the loader directories are no Python packages of their own and
``salt/`` must never become one, since that would shadow Salt itself.
"""

from setuptools import setup

KINDS = ("modules", "states", "beacons", "runners")

setup(
    packages=[
        "dockerstorage_lib",
        "dockerstorage_lib.adapters",
        *(f"saltext.dockerstorage.{kind}" for kind in KINDS),
    ],
    package_dir={
        "dockerstorage_lib": "_utils/dockerstorage_lib",
        **{f"saltext.dockerstorage.{kind}": f"_{kind}" for kind in KINDS},
    },
    entry_points={"salt.loader": ["saltext.dockerstorage = dockerstorage_lib.loader:dirs"]},
    zip_safe=False,
)
