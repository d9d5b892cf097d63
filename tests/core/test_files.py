"""Files are whole or not there."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core.errors import UserError
from ssmis_core.files import alone, atomic, read_csv, read_json, read_table, write_atomic, write_csv, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    with atomic(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("half")
        assert not (tmp_path / "new" / "a.txt").exists()
        temporary.write_text("whole")
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert names(tmp_path / "new") == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["disk", "quota"])
def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.txt").write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(UserError, match=r"a\.txt: cannot be written, no space left") as caught:
        write_atomic(tmp_path / "a.txt", write)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_file_where_a_folder_should_be_is_a_user_error_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(UserError, match=r"folder.x\.json: cannot be written"):
        write_json(tmp_path / "folder" / "x.json", {})


def test_a_folder_where_a_file_should_go_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with pytest.raises(UserError, match=r"x\.json: cannot be written \(Is a directory\)"):
        write_json(tmp_path / "x.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_may_not_be_written_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"x\.json: cannot be written \(Permission denied\)"):
        write_json(tmp_path / "x.json", {})
    assert names(tmp_path) == []


def test_a_read_only_file_system_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"x\.json: cannot be written \(Read-only file system\)"):
        write_json(tmp_path / "x.json", {})


def test_a_write_that_fails_gives_its_space_back_while_its_writer_still_has_the_file_open(tmp_path: Path) -> None:
    with open(tmp_path / ".a.txt.part", "wb") as file:
        with pytest.raises(ZeroDivisionError), atomic(tmp_path / "a.txt"):
            file.write(b"x" * 100_000)
            file.flush()
            raise ZeroDivisionError
        assert os.fstat(file.fileno()).st_size == 0 and names(tmp_path) == []


def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with alone(tmp_path, what="run"), pytest.raises(UserError, match="another run"), alone(tmp_path, what="run"):
        pass
    with alone(tmp_path, what="run"):
        assert names(tmp_path) == []


def test_json_is_strict(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"path": tmp_path, "number": 1.5, "none": None})
    assert json.loads((tmp_path / "x.json").read_text()) == {"path": str(tmp_path), "number": 1.5, "none": None}
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"number": math.nan})
    assert json.loads((tmp_path / "x.json").read_text())["number"] == 1.5


def test_csv_columns_come_in_the_order_of_their_first_row_and_gaps_are_nan(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", [{"b": 1, "a": "x"}, {"b": math.nan, "c": True}])
    assert (tmp_path / "x.csv").read_text() == "b,a,c\n1,x,\n,,True\n"
    first, second = read_csv(tmp_path / "x.csv")
    assert first["b"] == 1 and isinstance(first["b"], int) and first["a"] == "x" and math.isnan(first["c"])
    assert math.isnan(second["b"]) and second["c"] is True


def test_a_row_of_a_csv_that_was_cut_short_has_gaps(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3")
    assert math.isnan(read_csv(tmp_path / "x.csv")[1]["b"])


def test_csv_columns_of_names_stay_texts_even_where_they_look_like_numbers(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", [{"case": "007", "dice": 1.0}, {"case": "12E4", "dice": 0.5}])
    assert [row["case"] for row in read_csv(tmp_path / "x.csv", text=("case",))] == ["007", "12E4"]


KINDS: dict[str, type] = {"case": str, "iteration": int, "dice": float, "flag": bool}


def test_a_table_of_ours_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [{"case": "007", "iteration": 3, "dice": math.nan, "flag": True, "more": 0.5, "note": ""}]
    write_csv(tmp_path / "x.csv", rows)
    (row,) = read_table(tmp_path / "x.csv", columns=KINDS, text=("case", "note"), expected="ours")
    assert {**row, "dice": None} == {**rows[0], "dice": None} and math.isnan(row["dice"])
    (tmp_path / "x.csv").write_text("case,iteration\n")
    assert read_table(tmp_path / "x.csv", columns=KINDS, expected="ours") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"case,iteration,flag\na,1,True\n", "no column dice"),
        (b"case,iteration,dice,flag\na,1,0.5,True\nb,1.5,0.5,True\n", "1.5 under iteration in row 2"),
        (b"case,iteration,dice,flag\na,True,0.5,True\n", "True under iteration in row 1"),
        (b"case,iteration,dice,flag\na,,0.5,True\n", "nan under iteration in row 1"),
        (b"case,iteration,dice,flag\na,1,high,True\n", "'high' under dice in row 1"),
        (b"case,iteration,dice,flag\na,1,0.5,yes\n", "'yes' under flag in row 1"),
        (b"case,iteration,dice,flag,more\na,1,0.5,True,x\n", "'x' under more in row 1"),
        (b"case,iteration,dice,flag\na,1,0.5,True,6,7\n", "more cells than columns in row 1"),
        (b"\xff\xfe\x00", "bytes that are no table"),
    ],
)
def test_a_foreign_table_is_one_line_that_tells_what_was_found(text: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(text)
    with pytest.raises(UserError) as caught:
        read_table(tmp_path / "x.csv", columns=KINDS, text=("case",), expected="ours")
    assert str(caught.value) == f"{tmp_path / 'x.csv'}: cannot be read (found {found}), expected ours"
    with pytest.raises(UserError, match="Is a directory"):
        read_table(tmp_path, columns=KINDS, expected="ours")


def test_json_of_other_types_is_one_line(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": [1], "b": 2})
    assert read_json(tmp_path / "x.json", keys={"a": list, "b": int}, expected="ours") == {"a": [1], "b": 2}
    with pytest.raises(UserError, match=r"x\.json: cannot be read \(found list for 'a', not dict\), expected ours"):
        read_json(tmp_path / "x.json", keys={"a": dict}, expected="ours")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "below", Path("/proc/nothing")):
        with pytest.raises(UserError, match="cannot be written, its folder cannot be made"):
            write_csv(folder / "x.csv", [{"a": 1}])


numbers = st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False))
cells = st.one_of(numbers, st.booleans(), st.just("left atrium, upper"))


@given(rows=st.lists(st.fixed_dictionaries({"a": cells, "b": cells}), min_size=1, max_size=5))
def test_csv_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.csv"
    write_csv(path, rows)
    back = read_csv(path)
    assert [{key: repr(value) for key, value in row.items()} for row in back] == [
        {key: repr(value) for key, value in row.items()} for row in rows
    ]
