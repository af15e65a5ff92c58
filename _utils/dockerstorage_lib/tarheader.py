"""An entry of a tree ↔ the header of its member in a tar. Pure functions.

The format is POSIX pax (pax(1), "pax Interchange Format"): every member has a record of extended
fields, then a ustar header. Extended attributes are ``SCHILY.xattr.<name>`` as star, GNU tar and
Docker have them; sparse files are GNU's version 1.0, which GNU tar, Go and Python read.
"""

from __future__ import annotations

import re
import tarfile
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from .tree import MAX_DEPTH, Entry, check_path

BLOCK_BYTES = 512
#: A file system may give a file far more and larger xattrs than any real one has.
MAX_RECORDS_BYTES = 8 * 2**20

_TYPES = {
    "directory": tarfile.DIRTYPE,
    "file": tarfile.REGTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "character": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
}
_KINDS = {type_: kind for kind, type_ in _TYPES.items()}
_XATTR = "SCHILY.xattr."
_LINKS = "DOCKERSTORAGE.links"
_SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
_TIME = re.compile(rb"(-?)(\d{1,18})\.(\d{9})")
_NUMBER = re.compile(rb"\d{1,19}")
#: "%", "=", and bytes that are no UTF-8.
_UNFIT = re.compile("[%=\udc80-\udcff]")
_NO_ID = 2**32 - 1  # chown(2) takes it for "leave as it is"


def header(entry: Entry, stored_bytes: int | None = None) -> bytes:
    """The blocks before a member's content.

    ``stored_bytes`` is given for sparse files alone: what follows, the map included.
    """
    info = tarfile.TarInfo(entry.path or ".")
    info.type = _TYPES[entry.kind]
    info.mode, info.uid, info.gid = entry.mode & 0o7777, entry.uid, entry.gid
    info.mtime = min(max(entry.mtime_ns // 10**9, 0), 8**11 - 1)
    info.linkname = entry.target
    info.devmajor, info.devminor = entry.device
    info.pax_headers = _records(entry)
    if entry.kind == "file":
        info.size = entry.size
    if stored_bytes is not None:
        info.name, info.size = "GNUSparseFile.0/file", stored_bytes
        info.pax_headers |= _SPARSE
        info.pax_headers["GNU.sparse.name"] = entry.path
        info.pax_headers["GNU.sparse.realsize"] = str(entry.size)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _records(entry: Entry) -> dict[str, str]:
    seconds, nanoseconds = divmod(abs(entry.mtime_ns), 10**9)
    records = {"mtime": f"{'-' * (entry.mtime_ns < 0)}{seconds}.{nanoseconds:09}"}
    if entry.links:
        records[_LINKS] = str(entry.links)
    for name, value in sorted(entry.xattrs.items()):
        records[_XATTR + _quote(name)] = value.decode("utf-8", "surrogateescape")
    return records


def _quote(name: str) -> str:
    """A name without "=", which ends a keyword, as GNU tar does it; and UTF-8 whatever it is."""
    return _UNFIT.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", name)


def parse_records(data: bytes) -> dict[bytes, bytes]:
    """The records of an extended header; raises ValueError unless they are just that."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 9)
        end = at + int(data[at:space]) if data[at:space].isdigit() else 0
        keyword, equals, value = data[space + 1 : max(end - 1, 0)].partition(b"=")
        if not equals or data[end - 1 : end] != b"\n" or keyword in found:
            raise ValueError(f"no record of an extended header: {data[at : at + 40]!r}")
        found[keyword] = value
        at = end
    return found


def parse_header(records: dict[bytes, bytes], block: bytes) -> tuple[Entry, int, bool]:
    """The entry, the bytes of content that follow, and whether these begin with a sparse map.

    Raises ValueError for what ``header`` does not write.
    """
    left = dict(records)
    info = _ustar(block)
    kind = _KINDS.get(info.type)
    if kind is None:
        raise ValueError(f"members of type {info.type!r} are unknown")
    if left.pop(b"hdrcharset", b"BINARY") != b"BINARY":
        raise ValueError("unknown character set")
    sparse = b"GNU.sparse.major" in left
    stored = _take(left, b"size", info.size, 2**62)
    size = _sparse_size(left) if sparse else stored
    entry = Entry(
        path=_path(left, info, sparse),
        kind=kind,
        mode=_within(info.mode, 0o7777, "mode"),
        uid=_take(left, b"uid", info.uid, _NO_ID - 1),
        gid=_take(left, b"gid", info.gid, _NO_ID - 1),
        mtime_ns=_mtime(left),
        size=size,
        target=_target(left, info, kind),
        device=(_within(info.devmajor, 2**12 - 1, "device"), _within(info.devminor, 2**20 - 1, "")),
        links=_take(left, _LINKS.encode(), 0, 2**31),
        xattrs=_xattrs(left),
    )
    if left:
        raise ValueError(f"unknown record {next(iter(left))!r}")
    _check_kind(entry, bool(stored or sparse))
    return entry, stored, sparse


def _check_kind(entry: Entry, has_content: bool) -> None:
    """Raise ValueError for what only other kinds of entries have."""
    if entry.kind != "file" and (has_content or entry.links):
        raise ValueError(f"a {entry.kind} has no content")
    if entry.kind not in ("character", "block") and entry.device != (0, 0):
        raise ValueError(f"a {entry.kind} has no device number")


def _ustar(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=64)
def record_bytes(block: bytes) -> int:
    """The size of the extended header that a block announces; ValueError if it does not."""
    # Cached: these blocks differ by that size alone, and parsing one is as costly as a member's.
    info = _ustar(block)
    if info.type != tarfile.XHDTYPE:
        raise ValueError(f"a member without an extended header (type {info.type!r})")
    return _within(info.size, MAX_RECORDS_BYTES, "size of the extended header")


def _path(left: dict[bytes, bytes], info: tarfile.TarInfo, sparse: bool) -> str:
    raw = left.pop(b"path", None)
    if sparse:
        if raw is not None:
            raise ValueError("a sparse file has two names")
        raw = left.pop(b"GNU.sparse.name", b"")
    path = info.name if raw is None else raw.decode("utf-8", "surrogateescape")
    if info.type == tarfile.DIRTYPE:
        path = path.removesuffix("/")
        if path == ".":
            return ""
    check_path(path)
    return path


def _target(left: dict[bytes, bytes], info: tarfile.TarInfo, kind: str) -> str:
    raw = left.pop(b"linkpath", None)
    target = info.linkname if raw is None else raw.decode("utf-8", "surrogateescape")
    if bool(target) != (kind in ("symlink", "hardlink")):
        raise ValueError(f"the target of a {kind} is {target!r}")
    if "\0" in target or len(target.encode("utf-8", "surrogateescape")) > 4095 * (
        MAX_DEPTH if kind == "hardlink" else 1
    ):
        raise ValueError("a link's target is too long or has a NUL")
    return target


def _mtime(left: dict[bytes, bytes]) -> int:
    match = _TIME.fullmatch(left.pop(b"mtime", b""))
    if not match:
        raise ValueError("no time in nanoseconds")
    sign, seconds, nanoseconds = match.groups()
    total = int(seconds) * 10**9 + int(nanoseconds)
    return -total if sign else total


def _xattrs(left: dict[bytes, bytes]) -> dict[str, bytes]:
    prefix = _XATTR.encode()
    found = {}
    for keyword in [one for one in left if one.startswith(prefix)]:
        raw = unquote_to_bytes(keyword[len(prefix) :])
        name = raw.decode("utf-8", "surrogateescape")
        if (
            b"\0" in raw
            or not 0 < len(raw) < 256
            or _quote(name).encode() != keyword[len(prefix) :]
        ):
            raise ValueError(f"no name of an xattr: {raw[:40]!r}")
        found[name] = left.pop(keyword)
    return found


def _sparse_size(left: dict[bytes, bytes]) -> int:
    for keyword, value in _SPARSE.items():
        if left.pop(keyword.encode(), b"") != value.encode():
            raise ValueError("an unknown kind of sparse file")
    return _take(left, b"GNU.sparse.realsize", -1, 2**62)


def _take(left: dict[bytes, bytes], keyword: bytes, otherwise: int, most: int) -> int:
    raw = left.pop(keyword, None)
    if raw is None:
        return _within(otherwise, most, keyword.decode())
    if not _NUMBER.fullmatch(raw):
        raise ValueError(f"{keyword.decode()} is {raw[:40]!r}")
    return _within(int(raw), most, keyword.decode())


def _within(value: int, most: int, what: str) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"{what} {value} is out of bounds")
    return value
