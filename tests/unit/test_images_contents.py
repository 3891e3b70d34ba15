"""What goes into an image: which library files stay, which requirement is picked, that tars are reproducible."""

import os
import tarfile
from pathlib import Path

import pytest

from hack.images import debian, operator_image, serving_image
from hack.images.paths import ImageError

REQUIREMENTS = """\
numpy==2.4.6 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
onnxruntime==1.31.1 \\
    --hash=sha256:cc \\
    --hash=sha256:dd
onnxruntime-extensions==0.1 \\
    --hash=sha256:ee
"""


def test_a_requirement_is_picked_with_all_its_hashes_and_no_other():
    expected = "onnxruntime==1.31.1 \\\n    --hash=sha256:cc \\\n    --hash=sha256:dd\n"
    assert serving_image.pinned("onnxruntime", REQUIREMENTS) == expected


def test_a_requirement_that_is_not_locked_is_named():
    with pytest.raises(ImageError, match=r"uv\.lock does not pin tensorrt"):
        serving_image.pinned("tensorrt", REQUIREMENTS)


def test_tests_stubs_and_headers_of_libraries_stay_out(tmp_path: Path):
    keep = ["numpy/__init__.py", "numpy/testing/__init__.py", "numpy/core.so", "numpy-2.dist-info/LICENSE"]
    drop = ["numpy/tests/test_a.py", "numpy/core.pyi", "numpy/include/x/a.h", "onnx/onnx.proto", "bin/f2py"]
    for name in keep + drop:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    operator_image.strip(tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(keep)


def test_the_same_tree_packs_to_the_same_bytes_whenever_it_was_written(tmp_path: Path):
    tree = tmp_path / "tree"
    (tree / "usr" / "bin").mkdir(parents=True)
    (tree / "usr" / "bin" / "program").write_text("#!\n")
    (tree / "usr" / "bin" / "program").chmod(0o755)
    (tree / "usr" / "bin" / "link").symlink_to("program")
    debian.pack(tree, tmp_path / "first.tar")
    os.utime(tree / "usr" / "bin" / "program", (1, 1))
    debian.pack(tree, tmp_path / "second.tar")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()


def test_packed_files_belong_to_root_and_keep_mode_and_links(tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "program").write_text("#!\n")
    (tree / "program").chmod(0o755)
    (tree / "link").symlink_to("program")
    debian.pack(tree, tmp_path / "root.tar")
    with tarfile.open(tmp_path / "root.tar") as tar:
        members = {member.name: member for member in tar}
    assert members["program"].mode == 0o755
    assert (members["program"].uid, members["program"].gid, members["program"].mtime) == (0, 0, 0)
    assert members["link"].linkname == "program"
