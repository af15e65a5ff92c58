"""The core of dockerstorage: plain Python that never imports Salt."""

#: The version of this library; a loader file checks that it got the library it was shipped with.
VERSION = "0.1.0"
