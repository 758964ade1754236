"""The story page as Python writes it: its parts, its size, what it refuses. No browser."""

import json
import re

import pytest
import torch

from data_utils import KitError
from rcae_lite import SinglePassDetector
from rcae_lite.widgets import story
from tests.rcae_lite.conftest import tiny_config


@pytest.fixture
def light(monkeypatch):
    """Leave the runtime and the models out: packing them takes a minute."""
    monkeypatch.setattr(story, "engine", lambda found, _: {"models": dict.fromkeys(found, "")})


def parts(page) -> tuple[str, dict]:
    text = page.read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.+?)</script>', text, re.S)[1]
    return text, json.loads(data)[0]


def test_the_page_has_six_steps_and_the_networks_it_was_given(
    light, tiny_detector, tiny_baseline, tiny_category, tmp_path
):
    image = tiny_category.train[0].image
    out = tmp_path / "page.html"
    text, part = parts(story.write_story_page(tiny_detector, image, out, tiny_baseline))
    assert re.findall(r"<span>(\d)</span>", text) == list("123456")
    assert set(part["engine"]["models"]) == {"detector", "single"}
    assert part["data"]["single"] == tiny_baseline.threshold.value and 'data-live="single"' in text
    alone, part = parts(story.write_story_page(tiny_detector, image, out))
    assert set(part["engine"]["models"]) == {"detector"} and part["data"]["single"] is None
    assert "single pass" not in alone.split('id="data"')[0]
    assert part["data"]["threshold"] == tiny_detector.threshold.value


def test_no_figure_of_a_measurement_is_typed(light, tiny_detector, tiny_category, tmp_path):
    page = story.write_story_page(tiny_detector, tiny_category.train[0].image, tmp_path / "p.html")
    prose = re.search(r'<div class="story-text">(.+?)</footer>', page.read_text(), re.S)[1]
    words = re.sub(r"<svg.+?</svg>|<[^>]+>", " ", prose, flags=re.S)
    assert set(re.findall(r"\d[\d.]*%", words)) <= {"100%", "0%"}  # what the ends of a share mean
    assert len(re.findall('data-live="', prose)) >= 10


def test_inks_a_strange_one_is_far_from_all_that_is_in_the_picture():
    grey = torch.linspace(0.2, 0.7, 64).expand(3, 8, 64)
    red = grey.clone()
    red[0] = 0.8
    inks = story._inks(story.to_bytes(grey.unsqueeze(0))[0])
    assert inks["scratch"] == story._LIGHT and inks["strange"] in story._STRANGE
    assert 170 < int(inks["own"][1:3], 16) <= 178
    assert story._inks(story.to_bytes(red.unsqueeze(0))[0])["strange"] != story._STRANGE[0]
    white = torch.full((1, 3, 8, 8), 0.95)
    assert story._inks(story.to_bytes(white)[0])["scratch"] == story._DARK


def test_what_the_page_refuses(light, tiny_detector, tiny_baseline, save_image, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    first, second = (save_image(tmp_path / f"{name}.png") for name in "ab")
    tiny_detector.save(tmp_path / "full")
    tiny_baseline.save(tmp_path / "single")
    out = tmp_path / "page.html"
    with pytest.raises(KitError, match="2 images; --story takes one"):
        story.story_run(tmp_path / "full", [first, second], out)
    with pytest.raises(KitError, match="kind 'single_pass'; --story takes the whole one, 'full'"):
        story.story_run(tmp_path / "single", [first], out)
    SinglePassDetector(tiny_config(size=64), 0, "cpu").save(tmp_path / "full" / "baseline")
    with pytest.raises(KitError, match="single works at 64x64 and detector at 32x32"):
        story.story_run(tmp_path / "full", [first], out)
    assert not out.exists()


def test_a_run_brings_its_baseline(light, tiny_detector, tiny_baseline, save_image, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    image = save_image(tmp_path / "a.png")
    tiny_detector.save(tmp_path / "run")
    _, part = parts(story.story_run(tmp_path / "run", [image], tmp_path / "page.html"))
    assert part["data"]["single"] is None
    tiny_baseline.save(tmp_path / "run" / "baseline")
    _, part = parts(story.story_run(tmp_path / "run", [image], tmp_path / "page.html"))
    assert part["data"]["single"] == tiny_baseline.threshold.value
    _, part = parts(story.story_run(story.SHIPPED / "full", [image], tmp_path / "page.html"))
    assert set(part["engine"]["models"]) == {"detector", "single"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_of_the_shipped_detectors_has_at_most_8_mb(tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    try:
        page = story.story_of_example(tmp_path / "page.html")
    except KitError as error:
        if "cannot be fetched" not in str(error):
            raise
        pytest.skip(str(error))
    print(f"\n{page.stat().st_size / 1e6:.2f} MB")
    assert page.stat().st_size <= 8e6
