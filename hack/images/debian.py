"""Turns a list of Debian packages into the root of a base image, for machines that reach no public registry.

`bases` calls it. Packages are verified by apt against Debian's archive key, unpacked without running their
scripts, and packed into a tar whose bytes depend on nothing but the packages. Works with an apt state of its
own: it neither needs root nor touches the packages of this machine.
"""

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from hack import commands
from hack.images.paths import ImageError
from hack.machine import architecture

_SUITE = "bookworm"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ARCHIVES = (
    ("http://deb.debian.org/debian", _SUITE),
    ("http://deb.debian.org/debian", f"{_SUITE}-updates"),
    ("http://deb.debian.org/debian-security", f"{_SUITE}-security"),
)
_C_RUNTIME = ("base-files", "ca-certificates", "libc6", "libgcc-s1", "libstdc++6", "netbase")
_PYTHON = (
    *("libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libsqlite3-0", "libssl3", "libuuid1", "media-types"),
    *("libpython3.11-minimal", "libpython3.11-stdlib", "python3.11-minimal", "zlib1g", "libcrypt1"),
)
_USELESS = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/perl5"),
    *("usr/share/binfmts", "usr/share/python3", "usr/share/apps", "usr/share/pixmaps", "usr/share/gdb"),
    *("usr/share/gcc", "usr/share/dict", "usr/games", "usr/src", "usr/include", "usr/lib/valgrind"),
    *("usr/lib/python3.11/lib2to3", "usr/lib/python3.11/pydoc_data", "usr/lib/python3.11/ensurepip"),
    *("usr/lib/python3.11/idlelib", "usr/lib/python3.11/tkinter", "usr/lib/python3.11/curses"),
)
# Extension modules whose libraries are left out: a clean ImportError instead of a loader's message.
_USELESS_MODULES = ("_curses", "_curses_panel", "_dbm", "nis", "readline", "_ctypes_test", "_testcapi")
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


@dataclass(frozen=True, slots=True)
class Root:
    """What a base image holds: its packages, and links made on top of them."""

    name: str
    packages: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()


C_RUNTIME = Root("cc", _C_RUNTIME)
PYTHON = Root(
    "python3.11",
    (*_C_RUNTIME, *_PYTHON),
    (("usr/bin/python3", "python3.11"), ("usr/bin/python", "python3.11")),
)


def make_root(root: Root, work: Path) -> Path:
    """Download and unpack `root` below `work`; gives back the tar of its files."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None or not _KEYRING.exists():
        raise ImageError(
            "no public registry can be reached and no base image can be made from Debian packages here: "
            "apt-get, dpkg-deb and the package debian-archive-keyring are needed"
        )
    shutil.rmtree(work, ignore_errors=True)
    packages = _download(root.packages, work)
    tree = work / "root"
    for package in packages:
        _unpack(package, tree)
    _tidy(tree)
    for link, target in root.links:
        (tree / link).symlink_to(target)
    tar = work / "root.tar"
    pack(tree, tar)
    return tar


def _download(packages: tuple[str, ...], work: Path) -> list[Path]:
    debs = work / "debs"
    for folder in (debs, work / "apt/state/lists/partial", work / "apt/cache/archives/partial"):
        folder.mkdir(parents=True)
    (work / "apt/status").touch()
    sources = work / "apt/sources.list"
    lines = [f"deb [signed-by={_KEYRING}] {url} {suite} main\n" for url, suite in _ARCHIVES]
    sources.write_text("".join(lines))
    options = {
        "Dir::State": work / "apt/state",
        "Dir::State::status": work / "apt/status",
        "Dir::Cache": work / "apt/cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "APT::Architecture": architecture().oci,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    commands.run([*apt, "update"])
    commands.run([*apt, "download", *packages], cwd=debs)
    return sorted(debs.glob("*.deb"))


def _unpack(package: Path, tree: Path) -> None:
    """Unpack one package, and leave its control file where image scanners look for it."""
    commands.run(["dpkg-deb", "--extract", str(package), str(tree)])
    record = tree / "var/lib/dpkg/status.d" / package.name.split("_")[0]
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(commands.run(["dpkg-deb", "--field", str(package)]))


def _tidy(tree: Path) -> None:
    for name, text in _FILES.items():
        (tree / name).write_text(text)
    certificates = sorted((tree / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    bundle = tree / "etc/ssl/certs/ca-certificates.crt"
    bundle.write_text("".join(certificate.read_text() for certificate in certificates))
    for useless in _USELESS:
        shutil.rmtree(tree / useless, ignore_errors=True)
    for charsets in (tree / "usr/lib").glob("*/gconv"):
        shutil.rmtree(charsets)
    for module in _USELESS_MODULES:
        for library in (tree / "usr/lib").glob(f"python3.11/lib-dynload/{module}.cpython-*.so"):
            library.unlink()


def pack(tree: Path, tar: Path) -> None:
    """Write `tree` as a tar: sorted, owned by root, without times."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as out:
        for path in sorted(tree.rglob("*")):
            out.add(path, arcname=str(path.relative_to(tree)), recursive=False, filter=plain)
