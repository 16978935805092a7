"""Files are written whole or not at all."""

import os

import pytest

import optax_lrs as olrs

OLD, NEW = olrs.Constant(value=1.0), olrs.Constant(value=2.0)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch, step):
    OLD.write(tmp_path / "lr.json")

    def fails(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fails)
    with pytest.raises(OSError, match="disk full"):
        NEW.write(tmp_path / "lr.json")
    assert olrs.Schedule.read(tmp_path / "lr.json") == OLD and os.listdir(tmp_path) == ["lr.json"]


def test_a_value_that_cannot_be_saved_writes_nothing(tmp_path):
    class Held(olrs.Schedule):
        thing: olrs.Static[object]

    with pytest.raises(TypeError, match="cannot be written as JSON"):
        Held(thing=len).write(tmp_path / "lr.json")
    assert os.listdir(tmp_path) == []


def test_a_link_still_points_to_its_target(tmp_path):
    OLD.write(tmp_path / "lr.json")
    (tmp_path / "link.json").symlink_to("lr.json")
    NEW.write(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink() and olrs.Schedule.read(tmp_path / "lr.json") == NEW


def test_a_pipe_is_written_to(tmp_path):
    reader, writer = os.pipe()
    NEW.write(f"/dev/fd/{writer}")
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert olrs.Schedule.from_json(pipe.read()) == NEW


def test_a_folder_is_an_error(tmp_path):
    with pytest.raises(OSError):
        NEW.write(tmp_path)
    assert os.listdir(tmp_path) == []


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    NEW.write(tmp_path / "lr.json")
    assert (tmp_path / "lr.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
