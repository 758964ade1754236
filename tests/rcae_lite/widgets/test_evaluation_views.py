"""Messages of ThresholdExplorer, ModelComparison and TrainingMonitor, on a mocked channel."""

import numpy as np
import pytest

from data_utils import KitError
from rcae_lite.detector import RcAEDetector

pytest.importorskip("anywidget", reason="needs the extra lab")
from rcae_lite.widgets import ModelComparison, ThresholdExplorer, TrainingMonitor  # noqa: E402
from tests.rcae_lite.conftest import tiny_config  # noqa: E402
from tests.rcae_lite.evaluation.test_results import make_evaluation  # noqa: E402
from tests.rcae_lite.widgets.test_views import pixels, receive, sent  # noqa: E402

__all__ = ["sent"]  # a fixture


def update(widget, **values) -> None:
    receive(widget, {"method": "update", "state": values, "buffer_paths": []})


def ask(widget, question: str) -> None:
    receive(widget, {"method": "custom", "content": {"type": question}})


def test_a_threshold_from_the_browser_moves_the_counts(sent):
    explorer = ThresholdExplorer(make_evaluation())
    before = explorer.state.confusion()
    update(explorer, threshold=explorer.state.low)
    assert explorer.state.confusion() != before
    assert explorer.state.confusion().true_negatives == 0
    with pytest.raises(KitError, match="threshold"):
        explorer.threshold = 1e9
    assert explorer.threshold == explorer.state.low


def test_a_comparison_sends_every_image_once(tiny_detector, tiny_category, sent):
    widget = ModelComparison({"a": tiny_detector, "b": tiny_detector}, tiny_category.test)
    (opened,) = [m for m in sent if m["type"] == "comm_open" and m["buffers"]]
    paths = [tuple(path) for path in opened["data"]["buffer_paths"]]
    frames = widget.state.compared[0].frames
    for index, image in enumerate(frames.images):
        webp = opened["buffers"][paths.index(("data", "images", index, "frames", "webp", 0))]
        stack = pixels(webp, 7, 32, 32, 3)
        np.testing.assert_array_equal(stack[0], image)
        np.testing.assert_array_equal(stack[1:4], frames.reconstructions[index])
        np.testing.assert_array_equal(stack[4:], frames.reconstructions[index])
    update(widget, image=3, depth=2)
    assert widget.state.values == {"image": 3, "depth": 2}


def moments(messages: list[dict]) -> list[tuple[dict, bytes]]:
    """The pictures of the probe among the messages."""
    custom = [m for m in messages if m["data"].get("method") == "custom"]
    return [(m["data"]["content"], m["buffers"][0]) for m in custom]


def test_a_training_is_started_watched_and_stopped_from_the_browser(tiny_category, sent, tmp_path):
    detector = RcAEDetector(tiny_config(), 0, "cpu")
    monitor = TrainingMonitor(detector, tiny_category.train, tmp_path / "checkpoint")
    tell = monitor.state.on_change

    def stop_in_dpn() -> None:
        tell()
        if (monitor.state.stage, monitor.state.done) == ("dpn", 2):
            monitor.state.on_change = tell
            ask(monitor, "stop")

    monitor.state.on_change = stop_in_dpn
    ask(monitor, "start")
    monitor.state.join()
    assert monitor.progress["status"] == "stopped"
    assert (monitor.progress["stage"], monitor.progress["done"]) == ("dpn", 2)
    ask(monitor, "start")
    monitor.state.join()
    assert monitor.progress["status"] == "finished"
    ask(monitor, "start")
    assert "has finished" in monitor.progress["message"]

    held = monitor.state.moments
    assert [content["index"] for content, _ in moments(sent)] == list(range(len(held)))
    for (content, buffer), moment in zip(moments(sent), held, strict=True):
        assert (content["stage"], content["step"]) == (moment.stage, moment.step)
        assert bytes(buffer) == moment.frames.tobytes()

    # A view that is opened later gets all of them; the slider goes back.
    del sent[:]
    ask(monitor, "moments")
    assert len(moments(sent)) == len(held)
    update(monitor, moment=1)
    assert monitor.state.values["moment"] == 1
