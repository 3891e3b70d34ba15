"""What the key of an image covers, and what it must not."""

from pathlib import Path

import pytest

from hack.images.inputs import Memory, key_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "a.py").write_text("a = 1\n")
    (tmp_path / "package" / "b.py").write_text("b = 2\n")
    (tmp_path / "lock").write_text("1\n")
    return tmp_path


def key(tree: Path) -> str:
    return key_of(tree, [tree / "package", tree / "lock"], "amd64")


def test_equal_files_in_another_folder_give_the_same_key(tree: Path, tmp_path_factory: pytest.TempPathFactory):
    other = tmp_path_factory.mktemp("other")
    (other / "package").mkdir()
    (other / "lock").write_text("1\n")
    (other / "package" / "b.py").write_text("b = 2\n")
    (other / "package" / "a.py").write_text("a = 1\n")
    assert key(tree) == key(other)


@pytest.mark.parametrize("ignored", ["__pycache__", "target"])
def test_build_outputs_do_not_count(tree: Path, ignored: str):
    before = key(tree)
    (tree / "package" / ignored).mkdir()
    (tree / "package" / ignored / "output").write_text("x")
    assert key(tree) == before


def test_a_changed_a_renamed_and_an_added_file_each_change_the_key(tree: Path):
    keys = {key(tree)}
    (tree / "package" / "a.py").write_text("a = 2\n")
    keys.add(key(tree))
    (tree / "package" / "a.py").rename(tree / "package" / "c.py")
    keys.add(key(tree))
    (tree / "package" / "new.py").touch()
    keys.add(key(tree))
    (tree / "package" / "new.py").chmod(0o755)
    keys.add(key(tree))
    assert len(keys) == 5


def test_another_architecture_is_another_image(tree: Path):
    assert key(tree) != key_of(tree, [tree / "package", tree / "lock"], "arm64")


def test_memory_outlives_the_process(tmp_path: Path):
    file = tmp_path / "build" / "images.json"
    assert Memory(file).digest_of("k") is None
    Memory(file).remember("k", "sha256:1")
    Memory(file).remember("l", "sha256:2")
    assert Memory(file).digest_of("k") == "sha256:1"
    assert Memory(file).digest_of("l") == "sha256:2"
