"""The curve goes where it is clicked."""

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_sam.plugin.score_plot import ScorePlot
from napari_sam.plugin.walk import PlaneScore

CURVE = tuple(PlaneScore(position, 0.5 + position / 20, position == 4) for position in range(2, 9))


@pytest.fixture
def plot(qtbot):
    plot = ScorePlot()
    qtbot.addWidget(plot)
    plot.resize(300, 90)
    plot.show()
    return plot


def test_every_plane_can_be_reached_by_a_click(plot):
    plot.show_curve(CURVE, planes=10, current=3)
    heard = []
    plot.clicked.connect(heard.append)
    for x in range(0, 300, 3):
        QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(x, 40))
    assert sorted(set(heard)) == list(range(10))


@pytest.mark.parametrize(("curve", "planes"), [((), 1), (CURVE[:1], 1), (CURVE, 10)])
def test_any_curve_is_drawn(plot, curve, planes):
    plot.show_curve(curve, planes=planes, current=0)
    assert not plot.grab().isNull()
