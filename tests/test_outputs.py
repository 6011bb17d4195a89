import pytest

from napari_sam.outputs import appears_when_complete, check_output


def check(path, *endings, overwrite=False):
    check_output(path, endings, what="tables are written as text", overwrite=overwrite)


def test_a_name_with_another_ending_is_refused_and_says_which_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"must end with \.md, \.txt or \.csv: tables are written as text"):
        check(tmp_path / "table.tif", ".md", ".txt", ".csv")
    with pytest.raises(ValueError, match=r"must end with \.csv: tables"):
        check(tmp_path / "table.tif", ".csv")


def test_capitals_make_no_difference(tmp_path):
    check(tmp_path / "TABLE.CSV", ".csv")


def test_what_is_there_is_refused_unless_it_may_be_replaced(tmp_path):
    (tmp_path / "table.csv").write_text("years of work")
    with pytest.raises(FileExistsError, match="choose another name"):
        check(tmp_path / "table.csv", ".csv")
    check(tmp_path / "table.csv", ".csv", overwrite=True)


def test_a_folder_is_no_file_that_may_be_replaced(tmp_path):
    """An evaluation ended with "Is a directory" after its long work."""
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(FileExistsError, match="is a folder, which a file cannot replace"):
        check(tmp_path / "table.csv", ".csv", overwrite=True)
    (tmp_path / "labels.zarr").mkdir()
    check(tmp_path / "labels.zarr", ".zarr", overwrite=True)


def test_a_folder_that_is_missing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="create it first"):
        check(tmp_path / "nowhere" / "table.csv", ".csv")


def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(tmp_path, monkeypatch):
    """Hours of segmenting ended with "Permission denied", and the labels were gone."""
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write everywhere
    with pytest.raises(PermissionError, match=r"may not be written to; choose another one for table\.csv"):
        check(tmp_path / "table.csv", ".csv")


def test_a_file_appears_when_it_is_complete_and_not_before(tmp_path):
    path = tmp_path / "table.csv"
    with appears_when_complete(path) as temporary:
        temporary.write_text("1, 2")
        assert not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]
