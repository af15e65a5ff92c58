"""What the lab's images are made of: packages, pinned versions and the files put on top.

Everything in this file and in `build.py` is part of the images' hash: an edit here means a rebuild.
The agent itself is not in the image: a guest reads it from its share at boot, so that it can be
edited freely. Why each unit is masked and each file is there is told beside it.
"""

from __future__ import annotations

# What the machine that builds and boots needs; `build.py` installs what is missing.
HOST_PACKAGES = {
    "/usr/bin/mmdebstrap": "mmdebstrap",
    "/sbin/mkfs.ext4": "e2fsprogs",
    "/sbin/depmod": "kmod",
    "/usr/bin/taskset": "util-linux",
    "/usr/bin/cc": "build-essential",  # Salt's timelib comes as source
    "/usr/include/python3.11/Python.h": "python3-dev",
    "/usr/lib/python3.11/ensurepip": "python3-venv",
}

SUITE = "bookworm"
GUEST_PACKAGES = (
    "systemd systemd-sysv udev dbus kmod iproute2 iputils-ping iptables docker.io containerd runc "
    "lvm2 dmeventd thin-provisioning-tools xfsprogs e2fsprogs busybox-static jq procps rsync zstd "
    "ca-certificates python3 python3-venv tini"
).split()

# Docker 26 no longer knows devicemapper. Its dockerd runs on bookworm's libc, containerd and runc,
# so one image serves both engines.
DOCKER_SUITE = "trixie"
DOCKER_PACKAGES = ("docker.io",)
DOCKER_FILES = ("usr/sbin/dockerd", "usr/sbin/docker-proxy")

# From 6.16 on the kernel watches its processes by seccomp(2) if it can, not by ptrace(2) alone: the
# same work takes 0.6 of the time of trixie's 6.12. Its own Debian's libc lies beside it.
KERNEL_SUITE = "forky"
KERNEL_PACKAGES = ("user-mode-linux", "libc6")
KERNEL_MODULES = "usr/lib/uml/modules"
KERNEL_FILES = (
    "usr/bin/linux.uml",
    "usr/lib/x86_64-linux-gnu/libc.so.6",
    "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
)
# Which loader the kernel's program names, and what it names instead: the one in its own folder.
LOADER, LOADER_BESIDE = b"/lib64/ld-linux-x86-64.so.2", b"./ld-linux-x86-64.so.2"

# name of the venv under /opt/salt -> exact Salt; the first is the one on the guest's PATH
SALTS = {"3008": "3008.5", "3006": "3006.30"}
EXTRA_REQUIREMENTS = ("docker", "sh", "zstandard", "setuptools", "wheel")
# Salt may ask for a certifi newer than the index has; the newest there is serves as well.
UNBOUND_REQUIREMENTS = ("certifi",)
SALT_COMMANDS = ("salt", "salt-call", "salt-key", "salt-master", "salt-minion", "salt-run")

BASE_IMAGE_BYTES = 4 << 30
SALT_IMAGE_BYTES = 2 << 30

# Each of these costs boot time (e2scrub_reap alone 11 s) or wakes up during a test.
MASKED_UNITS = """
    e2scrub_reap.service e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer fstrim.timer
    dpkg-db-backup.timer systemd-tmpfiles-clean.timer getty.target getty@tty1.service
    console-getty.service serial-getty@ttyS0.service systemd-hwdb-update.service
    systemd-random-seed.service systemd-pcrphase.service systemd-pcrphase-sysinit.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-pstore.service
    systemd-machine-id-commit.service systemd-journal-flush.service systemd-logind.service
    remote-fs.target systemd-journal-catalog-update.service systemd-update-done.service
    systemd-sysusers.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
    dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount
    sys-fs-fuse-connections.mount modprobe@drm.service modprobe@configfs.service
    modprobe@fuse.service modprobe@efi_pstore.service systemd-ask-password-wall.path
    systemd-ask-password-console.path cryptsetup.target veritysetup.target
    integritysetup.target systemd-modules-load.service modprobe@loop.service
    modprobe@dm_mod.service systemd-user-sessions.service
""".split()
MASKED_GENERATORS = """
    systemd-cryptsetup-generator systemd-debug-generator systemd-getty-generator
    systemd-gpt-auto-generator systemd-hibernate-resume-generator systemd-integritysetup-generator
    systemd-rc-local-generator systemd-run-generator systemd-system-update-generator
    systemd-sysv-generator systemd-veritysetup-generator
""".split()
# Installed but started by the test that needs them.
DISABLED_UNITS = ("docker.service", "docker.socket", "containerd.service", "lvm2-monitor.service")

LAUNCHER = '''\
#!/usr/bin/python3
"""Mount the host's shares named on the kernel's command line and become the agent found there."""
import ctypes
import os
import runpy

libc = ctypes.CDLL(None, use_errno=True)
words = dict(w.split("=", 1) for w in open("/proc/cmdline").read().split() if "=" in w)


def mount(host_path, target, flags):
    # mount(2): mount(8) from 2.39 on breaks hostfs's option, which is a bare path
    os.makedirs(target, exist_ok=True)
    if libc.mount(b"none", target.encode(), b"hostfs", flags, host_path.encode()) != 0:
        raise OSError(ctypes.get_errno(), "cannot mount hostfs " + host_path)


mount(words["lab.share"], "/run/lab", 0)
mount(words["lab.src"], "/src", 1)
runpy.run_path("/run/lab/agent.py", run_name="__main__")
'''

FILES = {
    "usr/lib/lab/launch.py": LAUNCHER,
    "etc/systemd/system/lab-agent.service": """\
[Unit]
Description=Runs what the host asks for
After=basic.target
RequiresMountsFor=/opt/salt
[Service]
ExecStart=/usr/bin/python3 -S -E /usr/lib/lab/launch.py
KillMode=process
OOMScoreAdjust=-1000
TasksMax=infinity
[Install]
WantedBy=multi-user.target
""",
    # hundreds of ttys else
    "etc/systemd/system/systemd-udev-trigger.service.d/lab.conf": """\
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=all --action=add --subsystem-match=block \
--subsystem-match=misc --subsystem-match=net
""",
    "etc/systemd/system.conf.d/lab.conf": """\
[Manager]
DefaultTimeoutStopSec=15s
""",
    "etc/systemd/journald.conf.d/lab.conf": """\
[Journal]
Storage=volatile
RateLimitBurst=0
""",
    "etc/fstab": "/dev/ubdb /opt/salt ext4 ro,noload,nofail 0 0\n",
    "etc/hostname": "guest\n",
    "etc/hosts": "127.0.0.1 localhost guest salt\n",
    "etc/resolv.conf": "",
    "etc/machine-id": "6c6162000000000000000000000000aa\n",
}

PROFILE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
