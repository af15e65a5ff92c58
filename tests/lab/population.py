"""What a populated host holds: images, containers, volumes and networks under fixed names.

Everything is made in the guest from busybox, without a network. The tables below are the
documentation: what each object is there for is told beside it. `protected=true` is the label of
all that is labelled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab.hosts import Host

LABEL = "protected=true"
BASE = "lab/base:1"
SLEEP = "sleep 1000000"


@dataclass(frozen=True)
class Image:
    """Built from `parent`: a layer with `mib` MiB of random bytes in /`blob`, then the label."""

    tags: tuple[str, ...]
    parent: str = BASE
    blob: str = ""
    mib: int = 0
    label: str = ""
    buildkit: bool = False


IMAGES = (
    # two layers shared below; app:1 is the parent of app:2, which has several tags
    Image(("lab/app:1",), blob="a", mib=8),
    Image(("lab/app:2", "lab/app:latest", "registry.test/app:stable"), "lab/app:1", "b", 4),
    Image(("lab/unused:1",), blob="c", mib=6),  # unlabelled, wanted by nobody
    Image(("lab/unused:2",), "lab/unused:1", "d", 2),  # its child, wanted by nobody
    Image(("lab/kept:1",), blob="e", mib=3, label=LABEL),  # labelled, wanted by nobody
    Image(("lab/overridden:1",), "lab/kept:1", label="protected=false"),  # the child overrides
    Image(("lab/parent:1",), blob="f", mib=2, label=LABEL),  # loses its tag, see ORPHANS
    Image(("lab/child-overriding:1",), "lab/parent:1", label="protected="),
    Image(("lab/child-unlabelled:1",), "lab/parent:1", "g", 1),  # loses the label, see ORPHANS
    Image(("lab/used:1", "lab/used:latest"), blob="h", mib=1),  # of a protected container
    Image(("lab/buildkit:1",), blob="i", mib=1, buildkit=True),  # leaves a build cache behind
)
# Untagged in the end; `lab/child-unlabelled:1` is loaded from an archive in which its config
# lacks the label, for a build always hands labels down.
UNTAGGED = "lab/parent:1"
UNLABELLED = "lab/child-unlabelled:1"


@dataclass(frozen=True)
class Container:
    """`state` is running (and again whenever dockerd starts), exited or created."""

    image: str
    state: str
    labelled: bool = False
    options: str = "--net none"


CONTAINERS = {
    "web": Container("lab/app:1", "running", options="--net net-used -v vol-used:/data"),
    "kept-web": Container(BASE, "running", labelled=True),
    "done": Container("lab/app:2", "exited", options="--net none -v /anonymous"),
    # a stopped protected container: its image's tag, its volume and its network are to stay
    "kept-done": Container(
        "lab/used:1", "exited", labelled=True, options="--net net-stopped -v vol-kept:/data"
    ),
    "new": Container("lab/unused:2", "created"),
    "kept-new": Container("lab/overridden:1", "created", labelled=True),
}

VOLUMES = {
    "vol-used": "",  # by the running container `web`
    "vol-kept": "",  # by the stopped protected container
    "vol-labelled": LABEL,  # by nobody
    "vol-plain": "",  # by nobody
}
# Volumes without a name: one of container `done`, one left behind by a removed container.
ANONYMOUS_VOLUMES = 2

NETWORKS = {
    "net-used": "",  # by the running container `web`
    "net-stopped": "",  # by the stopped protected container alone
    "net-labelled": LABEL,  # by nobody
    "net-plain": "",  # by nobody
}

PREAMBLE = f"""set -e
work=$(mktemp -d); cd $work
mkdir -p root/bin root/tmp root/data
cp /bin/busybox root/bin/
for name in sh sleep ls cat echo true dd sync rm mkdir head; do
    ln root/bin/busybox root/bin/$name
done
tar -C root -c . | docker import -c 'CMD ["sleep", "1000000"]' - {BASE} >/dev/null
image() {{ # blob mib parent label tag
    if test -n "$1"; then head -c "$2"M /dev/urandom > "$1"; else touch none; fi
    {{ echo "FROM $3"
       test -z "$1" || echo "COPY $1 /$1"
       test -z "$4" || echo "LABEL $4"; }} | docker build -q -t "$5" -f - . >/dev/null
    rm -f "$1"
}}
"""

# docker save | take the label out of the child's config | docker load
UNLABEL = f"""
import hashlib, io, json, subprocess, tarfile
names = ["{UNLABELLED}", "{UNTAGGED}"]
data = subprocess.run(["docker", "save", *names], stdout=subprocess.PIPE, check=True).stdout
source = tarfile.open(fileobj=io.BytesIO(data))
files = {{m.name: source.extractfile(m).read() for m in source if m.isfile()}}
manifest = json.loads(files.pop("manifest.json"))
child = next(item for item in manifest if names[0] in item["RepoTags"])
config = json.loads(files.pop(child["Config"]))
config["config"]["Labels"] = {{}}
text = json.dumps(config).encode()
child["Config"] = hashlib.sha256(text).hexdigest() + ".json"
files[child["Config"]] = text
files["manifest.json"] = json.dumps(manifest).encode()
files.pop("repositories", None)
target = io.BytesIO()
with tarfile.open(fileobj=target, mode="w") as archive:
    for name, content in files.items():
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
old = subprocess.check_output(["docker", "inspect", "-f", "{{{{.Id}}}}", names[0]], text=True)
subprocess.run(["docker", "load", "-q"], input=target.getvalue(), check=True)
subprocess.run(["docker", "rmi", "--no-prune", old.strip()], check=True)
"""


def populate(host: Host) -> float:
    """Make it all; the seconds that took. The host must be empty."""
    return host.guest.run(script(), timeout=180).seconds


def script() -> str:
    """The shell script that makes it all."""
    lines = [PREAMBLE]
    for name, label in VOLUMES.items():
        lines.append(f"docker volume create {_label(label)} {name}")
    for name, label in NETWORKS.items():
        lines.append(f"docker network create {_label(label)} {name}")
    for image in IMAGES:
        lines += _image_lines(image)
    lines += ["cat > unlabel.py <<'END'", UNLABEL, "END", "python3 unlabel.py"]
    lines.append(f"docker rmi --no-prune {UNTAGGED}")
    for name, container in CONTAINERS.items():
        lines.append(_container_line(name, container))
    lines.append(f"docker create --name gone -v /left {BASE} true; docker rm gone")
    lines.append("cd /; rm -r $work; sync")
    return "\n".join(lines)


def _image_lines(image: Image) -> list[str]:
    first, *others = image.tags
    words = [image.blob, str(image.mib), image.parent, image.label, first]
    prefix = "DOCKER_BUILDKIT=1 " if image.buildkit else ""
    quoted = " ".join(f"'{word}'" for word in words)
    return [f"{prefix}image {quoted}", *(f"docker tag {first} {tag}" for tag in others)]


def _container_line(name: str, container: Container) -> str:
    verb = {"running": "run -d --restart always", "exited": "run", "created": "create"}
    command = {"running": SLEEP, "exited": "true", "created": "true"}[container.state]
    # sleep as a container's first process ignores SIGTERM: dockerd would wait 10 s for it
    options = f"--stop-signal KILL {_label(LABEL if container.labelled else '')}"
    return (
        f"docker {verb[container.state]} --name {name} {options} {container.options} "
        f"{container.image} {command}"
    )


def _label(label: str) -> str:
    return f"--label {label}" if label else ""


def images_by_tag(host: Host) -> dict[str, str]:
    """Every tag with the id of its image."""
    text = host.docker("images", "--no-trunc", "--format", "{{json .}}")
    rows = [json.loads(line) for line in text.splitlines()]
    return {f"{row['Repository']}:{row['Tag']}": row["ID"] for row in rows}
