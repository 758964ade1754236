"""The messages of the views, on a channel that only remembers them."""

import io
import json
import time

import comm
import numpy as np
import pytest
from comm.base_comm import BaseComm
from ipywidgets import Widget
from PIL import Image

from data_utils import KitError

pytest.importorskip("anywidget", reason="needs the extra lab")
from rcae_lite.widgets import DefectPainter, RecursionExplorer, views  # noqa: E402


@pytest.fixture(autouse=True)
def sent(monkeypatch) -> list[dict]:
    """Every message to the browser: type, data and buffers."""
    messages = []

    class Channel(BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            messages.append({"type": msg_type, "data": data or {}, "buffers": buffers or []})

    monkeypatch.setattr(comm, "create_comm", Channel)
    return messages


def receive(widget, data: dict, buffers: list[bytes] = ()) -> None:
    """Let a message of the browser arrive."""
    widget.comm.handle_msg({"content": {"data": data}, "buffers": [memoryview(b) for b in buffers]})


@pytest.fixture
def explorer(tiny_detector, tiny_category, sent):
    return RecursionExplorer(tiny_detector, tiny_category.test, normal=tiny_category.train)


@pytest.fixture
def painter(tiny_detector, tiny_category, sent, tmp_path):
    return DefectPainter(tiny_detector, tiny_category.test[-1].image, folder=tmp_path / "part")


def pixels(webp: bytes, *shape: int) -> np.ndarray:
    """What is in a lossless picture."""
    assert bytes(webp[12:16]) == b"VP8L", "with loss"
    return np.array(Image.open(io.BytesIO(webp)).convert("RGB")).reshape(shape)


def test_all_frames_travel_once_as_binary_buffers(explorer, sent):
    (opened,) = [m for m in sent if m["type"] == "comm_open" and m["buffers"]]
    paths = [tuple(path) for path in opened["data"]["buffer_paths"]]
    assert len(paths) == len(set(paths)) == len(opened["buffers"])
    for index in range(8):
        buffer = opened["buffers"][paths.index(("data", "images", index, "frames", "webp", 0))]
        frames = pixels(buffer, 7, 32, 32, 3)
        state = explorer.state.frames
        np.testing.assert_array_equal(frames[0], state.images[index])
        np.testing.assert_array_equal(frames[1:4], state.reconstructions[index])
        np.testing.assert_array_equal(frames[4:], state.enhanced[index])
    del opened["data"]["state"]["_esm"], opened["data"]["state"]["_css"]
    assert len(json.dumps(opened["data"])) < 20_000, "pictures in JSON"


def saved(widget) -> dict:
    """What a notebook keeps of a widget."""
    return Widget.get_manager_state(widgets=[widget])["state"][widget.model_id]


@pytest.mark.parametrize("limit", [0, 12_000])
def test_frames_beyond_the_limit_are_sent_when_asked_for(
    limit, tiny_detector, tiny_category, sent, monkeypatch
):
    monkeypatch.setattr(RecursionExplorer, "SAVED", limit)
    explorer = RecursionExplorer(tiny_detector, tiny_category.test)
    kept = [image["frames"] for image in explorer.data["images"]]
    sizes = [sum(map(len, frames["webp"])) for frames in kept if frames]
    assert 1 <= len(sizes) < 8 and (len(sizes) == 1 or sum(sizes) <= limit)
    assert all(frames is None for frames in kept[len(sizes) :]), "the first ones are kept"
    del sent[:]
    receive(explorer, {"method": "custom", "content": {"type": "frames", "image": 7}})
    (answer,) = sent
    content = answer["data"]["content"]
    assert (content["image"], content["frames"]["shape"]) == (7, [7, 32, 32, 3])
    frames = pixels(answer["buffers"][0], 7, 32, 32, 3)
    np.testing.assert_array_equal(frames, explorer.state.stack(7))


def test_a_notebook_keeps_at_most_two_megabytes(tiny_detector, tiny_category, sent):
    state = saved(RecursionExplorer(tiny_detector, tiny_category.test))
    assert len(json.dumps(state)) < 2_000_000
    limit = 4 / 3 * RecursionExplorer.SAVED + len(json.dumps(state["state"]))
    assert limit < 2_000_000, "no room for maps and masks"


def test_another_image_moves_the_depth_unless_the_slider_was_moved(explorer):
    best = [explorer.state.clearest(image) for image in range(8)]
    assert explorer.depth == best[0]
    for image in (1, 5, 2):
        explorer.image = image
        assert explorer.depth == best[image]
    explorer.depth = moved = best[2] % 3 + 1
    explorer.image = 3
    assert explorer.depth == moved


def test_moving_a_slider_in_the_browser_sends_no_frame_back(explorer, sent):
    del sent[:]
    receive(
        explorer,
        {"method": "update", "state": {"depth": 2, "probes": [[3, 4, 0]]}, "buffer_paths": []},
    )
    assert explorer.depth == explorer.state.values["depth"] == 2
    assert explorer.state.values["probes"] == [[3, 4, 0]]
    assert [message["buffers"] for message in sent if message["buffers"]] == []


def test_setting_a_control_in_python_reaches_the_browser(explorer, sent):
    del sent[:]
    explorer.depth = 2
    (update,) = [message["data"] for message in sent if message["data"].get("method") == "update"]
    assert update["state"] == {"depth": 2}
    with pytest.raises(KitError, match="depth 9"):
        explorer.depth = 9
    assert explorer.depth == explorer.state.values["depth"] == 2


def paint(painter, painted: np.ndarray, number: int) -> dict:
    receive(
        painter,
        {"method": "custom", "content": {"type": "paint", "number": number}},
        [painted.tobytes()],
    )
    return painter.result


def test_a_stroke_is_answered_with_everything_that_depends_on_it(painter, sent):
    painted = painter.state.original.copy()
    painted[5:12, 8:20] = [0, 0, 255]
    del sent[:]
    result = paint(painter, painted, 7)
    assert (result["number"], result["ours"], result["note"]) == (7, True, "")
    frames = np.frombuffer(result["picture"]["frames"]["bytes"], np.uint8).reshape(7, 32, 32, 3)
    np.testing.assert_array_equal(frames[0], painted)
    mask = np.frombuffer(result["mask"]["bytes"], np.uint8).reshape(32, 32)
    assert mask.sum() == 7 * 12
    assert result["iou"] == painter.state.iou is not None
    (message,) = [m for m in sent if m["data"].get("method") == "update"]
    assert set(message["data"]["state"]) == {"result"}
    assert len(message["buffers"]) == 3  # frames, map, mask


def test_random_and_save_are_answered_too(painter, tmp_path):
    receive(painter, {"method": "custom", "content": {"type": "save", "number": 1}})
    assert "nothing was painted" in painter.result["note"]
    receive(painter, {"method": "custom", "content": {"type": "random", "number": 2}})
    assert not painter.result["ours"] and painter.state.mask.any()
    first = painter.state.frames.images.copy()
    receive(painter, {"method": "custom", "content": {"type": "random", "number": 3}})
    assert (painter.state.frames.images != first).any()
    receive(painter, {"method": "custom", "content": {"type": "save", "number": 4}})
    assert painter.result["note"].startswith("saved: ")
    assert painter.result["note"].endswith(f"rcae evaluate RUN --data {tmp_path / 'part'}")
    assert (tmp_path / "part" / "test" / "painted" / "000.png").exists()


def test_the_record_travels_with_the_result_until_it_is_forgotten(painter):
    painter.state.threshold = np.inf
    painted = painter.state.original.copy()
    painted[5:12, 8:20] = 255 * (painted[5:12, 8:20] < 128)
    record = paint(painter, painted, 1)["record"]
    assert record["pixels"] == painter.state.record.pixels == 7 * 12
    assert record["picture"]["bytes"] == painted.tobytes()
    receive(painter, {"method": "custom", "content": {"type": "forget", "number": 2}})
    assert painter.result["record"] is None and painter.state.record is None


def test_in_development_a_saved_file_reaches_the_browser(
    monkeypatch, tiny_detector, tiny_category, sent
):
    image = tiny_category.test[-1].image
    assert DefectPainter(tiny_detector, image)._esm == views.module("painter.js")
    del sent[:]
    monkeypatch.setenv("ANYWIDGET_HMR", "1")
    monkeypatch.setattr(views, "module", lambda entry: f"// {entry}, as it was saved last")
    painter = DefectPainter(tiny_detector, image)
    end = time.monotonic() + 60
    while painter._esm != "// painter.js, as it was saved last" and time.monotonic() < end:
        time.sleep(0.05)
    painter.close()
    updates = [m["data"]["state"] for m in sent if m["data"].get("method") == "update"]
    assert {"_esm": "// painter.js, as it was saved last"} in updates


def test_a_hundred_strokes_keep_one_result(painter, sent):
    painted = painter.state.original.copy()
    for number in range(100):
        painted[number % 32, :4] = number
        paint(painter, painted, number)
    kept = [value for value in vars(painter.state).values() if isinstance(value, list)]
    assert kept == [], "a state that collects grows with every stroke"
    assert painter.state.frames.images.shape[0] == 1


def test_save_html_writes_the_present_state(explorer, tmp_path):
    explorer.depth = 2
    page = explorer.save_html(tmp_path / "page.html").read_text()
    values = json.loads(page.split('id="data">')[1].split("</script>")[0])[0]["values"]
    assert values == {"image": 0, "depth": 2, "opacity": 0.0, "probes": []}
