"""
The fleet as the master sees it
===============================
"""

__virtualname__ = "dockerstorage"


def __virtual__():
    return __virtualname__
