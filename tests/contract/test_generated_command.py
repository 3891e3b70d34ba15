"""`python -m hack.generate`: it finds what is not current and makes it so, and says nothing when all is."""

import subprocess
import sys
from pathlib import Path

from hack.generate.crd import as_chart_template
from hack.generate.files import outputs, stale, write
from hack.generate.stubs import FOLDER
from hack.paths import ROOT


def test_the_checkout_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hack.generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_and_an_edited_file_are_found_and_written_again(tmp_path: Path) -> None:
    assert list(stale(tmp_path)) == list(outputs())
    write(tmp_path, outputs())
    assert stale(tmp_path) == {}
    (tmp_path / "docs/reasons.md").unlink()
    with (tmp_path / "docs/api.md").open("a", encoding="utf-8") as page:
        page.write("by hand\n")
    assert list(stale(tmp_path)) == ["docs/api.md", "docs/reasons.md"]
    write(tmp_path, stale(tmp_path))
    assert stale(tmp_path) == {}


def test_a_stub_without_a_proto_is_found_and_removed(tmp_path: Path) -> None:
    write(tmp_path, outputs())
    (tmp_path / FOLDER / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / FOLDER / "old_pb2_grpc.py").write_text("", encoding="utf-8")
    assert stale(tmp_path) == {f"{FOLDER}/old_pb2_grpc.py": None}
    write(tmp_path, stale(tmp_path))
    assert not (tmp_path / FOLDER / "old_pb2_grpc.py").exists()
    assert (tmp_path / FOLDER / "__init__.py").exists()


def test_text_that_looks_like_a_template_reaches_helm_as_text() -> None:
    text = as_chart_template({"metadata": {"name": "x"}, "description": "{{ .Values }}"})
    assert "description: '{{ \"{{\" }} .Values }}'" in text
