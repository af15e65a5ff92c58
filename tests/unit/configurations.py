"""Hosts' configurations as distributions and operators write them."""

from __future__ import annotations

from dockerstorage_lib.driverconfig import read

UNIT = "/lib/systemd/system/docker.service"
DEFAULT = "/etc/default/docker"
JSON = "/etc/docker/daemon.json"
SYSCONFIG, STORAGE, SETUP = (
    f"/etc/sysconfig/docker{end}" for end in ("", "-storage", "-storage-setup")
)

DEBIAN_UNIT = """[Unit]
Description=Docker Application Container Engine
Requires=docker.socket

[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
Delegate=yes
"""
DEBIAN_DEFAULT = """# Docker Upstart and SysVinit configuration file

# Use DOCKER_OPTS to modify the daemon startup options.
#DOCKER_OPTS="--dns 8.8.8.8 --dns 8.8.4.4"
DOCKER_OPTS="--dns 10.0.0.1 -s devicemapper  --storage-opt dm.fs=xfs --live-restore"

# If you need Docker to use an HTTP proxy, it can also be specified here.
export http_proxy="http://127.0.0.1:3128/"
"""
RHEL_UNIT = r"""[Unit]
Description=Docker Application Container Engine
After=network.target rhel-push-plugin.socket registries.service

[Service]
Type=notify
NotifyAccess=main
EnvironmentFile=-/run/containers/registries.conf
EnvironmentFile=-/etc/sysconfig/docker
EnvironmentFile=-/etc/sysconfig/docker-storage
EnvironmentFile=-/etc/sysconfig/docker-network
Environment=GOTRACEBACK=crash
Environment=PATH=/usr/libexec/docker:/usr/bin:/usr/sbin
ExecStart=/usr/bin/dockerd-current \
          --add-runtime docker-runc=/usr/libexec/docker/docker-runc-current \
          --default-runtime=docker-runc \
          --exec-opt native.cgroupdriver=systemd \
          --userland-proxy-path=/usr/libexec/docker/docker-proxy-current \
          $OPTIONS \
          $DOCKER_STORAGE_OPTIONS \
          $DOCKER_NETWORK_OPTIONS \
          $ADD_REGISTRY
LimitNOFILE=1048576
"""
RHEL_SYSCONFIG = """# /etc/sysconfig/docker

# Modify these options if you want to change the way the docker daemon runs
OPTIONS='--selinux-enabled --log-driver=journald --signature-verification=false'
if [ -z "${DOCKER_CERT_PATH}" ]; then
    DOCKER_CERT_PATH=/etc/docker
fi
"""
RHEL_STORAGE = (
    'DOCKER_STORAGE_OPTIONS="--storage-driver devicemapper --storage-opt dm.fs=xfs --storage-opt '
    "dm.thinpooldev=/dev/mapper/rhel-docker--pool --storage-opt dm.use_deferred_removal=true "
    '--storage-opt dm.use_deferred_deletion=true "\n'
)
RHEL_SETUP = """# Edit this file to override any configuration options specified in
# /usr/lib/docker-storage-setup/docker-storage-setup.
VG=docker
STORAGE_DRIVER=devicemapper
DATA_SIZE=60%FREE
"""
DEBIAN = {UNIT: DEBIAN_UNIT, DEFAULT: DEBIAN_DEFAULT}
RHEL_UNIT_PATH = "/usr/lib/systemd/system/docker.service"
RHEL = {
    RHEL_UNIT_PATH: RHEL_UNIT,
    SYSCONFIG: RHEL_SYSCONFIG,
    STORAGE: RHEL_STORAGE,
    SETUP: RHEL_SETUP,
}
DM = ("dm.fs=xfs", "dm.thinpooldev=/dev/mapper/rhel-docker--pool", "dm.use_deferred_removal=true",
      "dm.use_deferred_deletion=true")  # fmt: skip


def units_of(files):
    """The unit, then its drop-ins in the order of their names."""
    drop_ins = [path for path in files if ".service.d/" in path]
    units = [path for path in files if path.endswith(".service")]
    return units + sorted(drop_ins, key=lambda path: path.rpartition("/")[2])


def configuration(files, **more):
    return read(files.get, units_of(files), **more)


def plain(exec_start, **files):
    """A host whose unit runs this, and daemon.json as `json`."""
    unit = f"[Service]\nExecStart={exec_start}\n"
    found = {"/etc/systemd/system/docker.service": unit}
    if "json" in files:
        found[JSON] = files["json"]
    return found
