"""Models are listed, asked for and downloaded."""

import time

from tests.plugin.fakes import FakeSegmenter

from napari_sam.plugin import model_box
from napari_sam.plugin.model_box import ModelBox
from napari_sam.plugin.places import model_rows


def test_a_checkpoint_file_is_asked_for_once_and_listed_from_then_on(docked, monkeypatch, tmp_path):
    _, widget = docked
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"weights")
    monkeypatch.setattr(model_box.QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    box = widget.panel.model
    chosen = []
    box.chosen.connect(chosen.append)
    box.activated.emit(box.count() - 1)
    assert chosen == [str(path)]
    assert box.currentText().startswith("mine · ")
    assert ModelBox().findData(str(path)) >= 0
    monkeypatch.setattr(model_box.QFileDialog, "getOpenFileName", lambda *args: ("", ""))
    box.activated.emit(box.count() - 1)
    assert box.model == str(path)
    box.go_back()
    assert box.model == "nano"


class Downloading(FakeSegmenter):
    @staticmethod
    def download():
        while True:
            time.sleep(0.01)
            yield 10_000_000, 375_000_000


def test_a_download_is_shown_and_can_be_cancelled(docked, qtbot):
    _, widget = docked
    widget._given_opener = Downloading
    widget.panel.model.choose("vit_b")
    button = widget.panel.cancel_download
    qtbot.waitUntil(lambda: not button.isHidden())
    assert "10 of 375 MB" in widget.panel.status.text()
    widget._given_opener = FakeSegmenter
    button.click()
    qtbot.waitUntil(lambda: type(widget.annotation.segmenter) is FakeSegmenter)
    qtbot.waitUntil(button.isHidden)
    assert widget.panel.model.model == "nano"


def test_every_model_says_its_size_and_its_licence():
    texts = [text for _, text in model_rows()]
    assert any("vit_b · downloads 375 MB · Apache-2.0" in text for text in texts)
