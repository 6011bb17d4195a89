"""Time-lapses of squares: which track each gets, and who descends from whom."""

import numpy as np
import pytest

from napari_sam.lineage import read_tracks, trace, write_tracks


def movie(*frames, side=24):
    """Labels ``(t, y, x)``; each frame is a mapping of (row, column) to the label of a square of 4 x 4 pixels there."""
    labels = np.zeros((len(frames), side, side), np.uint16)
    for t, frame in enumerate(frames):
        for (row, column), label in frame.items():
            labels[t, row : row + 4, column : column + 4] = label
    return labels


def spans(lineage):
    """First and last frame of each track."""
    tracks = lineage.tracks
    return {
        int(i): tuple(map(int, np.percentile(tracks[tracks[:, 0] == i, 1], (0, 100)))) for i in np.unique(tracks[:, 0])
    }


SPLIT = movie({(10, 10): 5}, {(10, 10): 5}, {(6, 10): 5, (13, 10): 5}, {(3, 10): 5, (16, 10): 5})


def test_an_object_that_moves_is_one_track_with_its_own_id():
    lineage = trace(movie({(2, 2): 7}, {(2, 5): 7}, {(2, 12): 7}))
    assert lineage.tracks.tolist() == [[7, 0, 3.5, 3.5], [7, 1, 3.5, 6.5], [7, 2, 3.5, 13.5]]
    assert lineage.graph == {}


def test_an_object_that_falls_apart_ends_and_has_two_daughters():
    lineage = trace(SPLIT)
    assert spans(lineage) == {5: (0, 1), 6: (2, 3), 7: (2, 3)}
    assert lineage.graph == {6: [5], 7: [5]}
    assert lineage.object_ids == {5: 5, 6: 5, 7: 5}


def test_pieces_on_a_single_frame_are_no_split():
    lineage = trace(movie({(10, 10): 5}, {(6, 10): 5, (13, 10): 5}, {(10, 10): 5}))
    assert spans(lineage) == {5: (0, 2)}


def test_crumbs_belong_to_their_object():
    labels = movie({(10, 10): 5}, {(10, 10): 5}, {(10, 10): 5})
    labels[1:, 2, 2] = 5
    assert spans(trace(labels)) == {5: (0, 2)}


def test_a_new_label_on_an_old_object_is_its_daughter():
    labels = movie({(10, 10): 1}, {(8, 10): 1, (12, 10): 2}, {(6, 10): 1, (14, 10): 2})
    lineage = trace(labels)
    assert spans(lineage) == {1: (0, 0), 2: (1, 2), 3: (1, 2)}
    assert lineage.graph == {2: [1], 3: [1]}
    assert lineage.object_ids[3] == 1


def test_a_new_label_beside_an_old_object_has_no_parent():
    lineage = trace(movie({(10, 10): 1}, {(10, 10): 1, (10, 14): 2}))
    assert lineage.graph == {}
    assert spans(lineage) == {1: (0, 1), 2: (1, 1)}


def test_an_object_that_is_away_for_a_frame_keeps_its_track():
    assert spans(trace(movie({(2, 2): 3}, {}, {(2, 4): 3}))) == {3: (0, 2)}


def test_daughters_keep_apart_when_they_move():
    labels = movie({(10, 10): 5}, {(6, 10): 5, (13, 10): 5}, {(4, 10): 5, (15, 10): 5}, {(2, 10): 5, (17, 10): 5})
    tracks = trace(labels).tracks
    assert [row[2] for row in tracks if row[0] == 6] == [7.5, 5.5, 3.5]
    assert [row[2] for row in tracks if row[0] == 7] == [14.5, 16.5, 18.5]


def test_a_stack_in_time_has_four_coordinates():
    lineage = trace(np.stack([SPLIT, SPLIT], axis=1))
    assert lineage.tracks.shape[1] == 5
    assert lineage.tracks[0].tolist() == [5, 0, 0.5, 11.5, 11.5]


def test_labels_without_objects_give_no_tracks():
    assert trace(movie({}, {})).tracks.shape == (0, 4)


def test_an_empty_table_of_tracks_comes_back_empty(tmp_path):
    write_tracks(tmp_path / "tracks.csv", trace(movie({}, {})))
    assert read_tracks(tmp_path / "tracks.csv").tracks.shape == (0, 4)


def test_tracks_come_back_from_their_file(tmp_path):
    lineage = trace(SPLIT)
    write_tracks(tmp_path / "tracks.csv", lineage)
    back = read_tracks(tmp_path / "tracks.csv")
    assert np.array_equal(back.tracks, lineage.tracks)
    assert back.graph == lineage.graph
    assert back.object_ids == lineage.object_ids


def test_tracks_are_not_written_over_something_unasked(tmp_path):
    write_tracks(tmp_path / "tracks.csv", trace(SPLIT))
    with pytest.raises(FileExistsError, match=r"tracks\.csv"):
        write_tracks(tmp_path / "tracks.csv", trace(SPLIT))
    with pytest.raises(ValueError, match=r"must end with \.csv"):
        write_tracks(tmp_path / "tracks.txt", trace(SPLIT))


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "points.csv").write_text("index,axis-0\n0,3\n")
    with pytest.raises(ValueError, match=r"points\.csv is no table of tracks: expected the columns object_id"):
        read_tracks(tmp_path / "points.csv")
    (tmp_path / "words.csv").write_text("track_id,t,y,x,object_id,parent\n1,early,2,2,1,\n")
    with pytest.raises(ValueError, match="early"):
        read_tracks(tmp_path / "words.csv")


def test_a_single_plane_has_no_tracks():
    with pytest.raises(ValueError, match=r"must be \(t, y, x\)"):
        trace(SPLIT[0])
