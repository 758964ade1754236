"""What tests/legible.py says of figures; what it says of diagrams is in tests/browser."""

from matplotlib.figure import Figure

from tests.legible import faults, labels_of_figure


def test_texts_of_a_figure_that_overlap_or_leave_it_are_found():
    figure = Figure(figsize=(2, 1))
    for x, text in ((0.1, "first"), (0.15, "second"), (0.9, "outside"), (0.5, "")):
        figure.text(x, 0.5, text)
    overlap, outside = faults(labels_of_figure(figure))
    assert overlap == "'first' lies on 'second'" and "'outside' leaves its frame" in outside


def test_a_figure_without_faults_has_none():
    ax = Figure(layout="constrained").subplots()
    ax.set(title="title", xlabel="x", ylabel="y")
    labels = labels_of_figure(ax.figure)
    assert {"title", "x", "y"} <= {label.text for label in labels}
    assert faults(labels) == []
