"""The report is one file that needs nothing else, says what it must, and trusts no file name."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from rcae_lite.commands.report import Example, _extremes, _mistakes, _ranked, write_report
from rcae_lite.evaluation.results import METRICS
from tests.rcae_lite.evaluation.test_results import make_evaluation

EVIL = 'test/<script>alert("x")</script>\'"&$\\frac$ onerror=.png'
LOSSES = {"rcae": [(1, 1.0), (2, 0.5)], "dpn": [(1, 0.3)], "crd": [(1, 2.0)]}

words_only = pytest.mark.usefixtures("coarse_pictures")


class Page(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.words.append(data)


def make_example(image, enhanced: bool = True) -> Example:
    rng = np.random.default_rng(0)
    mask = np.zeros((16, 16), bool)
    mask[4:8, 4:8] = bool(image.label)
    return Example(
        path=image.path, defect=image.defect, label=image.label, score=image.score,
        image=rng.random((3, 16, 16)), mask=mask, anomaly_map=rng.normal(size=(16, 16)),
        reconstructions=rng.random((3, 3, 16, 16)),
        enhanced=rng.random((3, 3, 16, 16)) if enhanced else None,
    )  # fmt: skip


def report(folder, evaluation, *, images=(0, -1), losses=LOSSES, baseline=None) -> Page:
    examples = [make_example(evaluation.images[i]) for i in images]
    path = write_report(
        folder,
        evaluation,
        examples=examples,
        losses=losses,
        limits=evaluation.map_limits,
        baseline=baseline,
    )
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_it_is_one_file_with_pictures_inside_and_described(tmp_path):
    page = report(tmp_path, make_evaluation())
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert page.links and all(link.startswith("data:image/webp;base64,") for link in page.links)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    for image in page.images:
        assert image["alt"].strip()
        picture = Image.open(io.BytesIO(base64.b64decode(image["src"].split(",")[1])))
        assert min(picture.size) > 100
    assert len(page.images) == 4 + 1 + 2 + 1  # plots, examples, trajectories, losses


@words_only
def test_it_says_all_that_a_stranger_needs(tmp_path):
    evaluation = make_evaluation()
    text = report(tmp_path, evaluation).text
    provenance = evaluation.provenance
    for part in (
        provenance.command, provenance.data_fingerprint, provenance.score_rule, provenance.device,
        provenance.version, provenance.code_version, provenance.preset, "seed 0", "128x128",
        "oracle", "held-out normal images alone", "95% bootstrap intervals", "How to read",
        "41 ms per image", "491,000", "0.450 (n = 1)", "0.860 (n = 5)", *METRICS.values(),
    ):  # fmt: skip
        assert part in text, part
    for found in evaluation.metrics.values():
        assert f"{found.value:.3f} {found.low:.3f} to {found.high:.3f}" in text


@words_only
def test_the_verdict_is_that_of_the_evaluation(tmp_path):
    evaluation = make_evaluation(20, 30)
    text = report(tmp_path, evaluation).text
    assert f"{100 * evaluation.detection_rate:.1f}% of the 30 defective test images" in text
    assert f"{100 * evaluation.false_positive_rate:.1f}% of the 20 normal ones" in text


@words_only
def test_target_achieved_rate_interval_and_every_p_value_are_there(tmp_path):
    evaluation = make_evaluation(20, 30)
    text = report(tmp_path, evaluation).text
    alarms = evaluation.false_alarms
    low, high = (f"{100 * end:.1f}%" for end in (alarms.low, alarms.high))
    target = f"{100 * evaluation.threshold.false_alarm_rate:.1f}%"
    assert f"false alarms, target at most {target} " in text
    assert f"false alarms, achieved {100 * alarms.value:.1f}% {low} to {high}" in text
    for image, p in zip(evaluation.images, evaluation.p_values, strict=True):
        assert f"{image.path} {image.score:.3f} {p:.3f}" in text


@words_only
def test_the_baseline_stands_beside_it_under_its_own_name(tmp_path):
    evaluation, single = make_evaluation(), make_evaluation(seed=3, gap=0.5)
    provenance = replace(single.provenance, detector="single_pass")
    single = replace(single, provenance=provenance)
    assert "single-pass" not in report(tmp_path, evaluation).text
    text = report(tmp_path, evaluation, baseline=single).text
    found = single.metrics["image_auroc"]
    assert f"single-pass autoencoder {found.value:.3f} {found.low:.3f}" in text  # the verdict
    assert text.count(f"{found.value:.3f} {found.low:.3f}") == 2  # and the table


def test_a_file_name_stays_a_name(tmp_path):
    evaluation = make_evaluation(path=EVIL)
    evil = replace(evaluation.images[0], score=99.0, predicted=True, defect=EVIL)
    provenance = replace(evaluation.provenance, category=EVIL, command=EVIL)
    evaluation = replace(evaluation, images=[evil, *evaluation.images[1:]], provenance=provenance)
    page = report(tmp_path, evaluation)
    assert "script" not in page.tags and "onerror" not in page.attributes
    assert page.text.count(EVIL) >= 5  # heading, mistakes, all images, caption, command: as it is
    assert any(EVIL in image["alt"] for image in page.images)


@words_only
@pytest.mark.parametrize("counts", [{"defective": 0}, {"normal": 0}])
def test_undefined_metrics_are_said_to_be_undefined(tmp_path, counts):
    page = report(tmp_path, make_evaluation(**counts))
    assert page.text.count("not defined here") == len(METRICS)
    assert "nan" not in page.text.lower().split() and "None" not in page.text
    assert ("No defective image was tested" in page.text) == ("defective" in counts)
    assert ("no normal one was tested" in page.text) == ("normal" in counts)


@words_only
def test_without_losses_or_examples_there_is_still_a_report(tmp_path):
    page = report(tmp_path, make_evaluation(), images=(), losses={})
    assert len(page.images) == 4 and "Training" not in page.text.split("How to read")[0]


def test_the_worst_mistakes_come_first():
    evaluation = make_evaluation(60, 60, gap=0.5)
    mistakes = _mistakes(_ranked(evaluation))
    alarms = [image.score for image, _, what in mistakes if what == "false alarm"]
    missed = [image.score for image, _, what in mistakes if what.startswith("missed")]
    scores, labels = evaluation.scores, evaluation.labels
    limit = evaluation.threshold.value
    assert alarms == sorted(scores[(labels == 0) & (scores > limit)], reverse=True)[:5]
    assert missed == sorted(scores[(labels == 1) & (scores <= limit)])[:5]
    named = _extremes(evaluation)
    assert named[mistakes[0][0].path] == "highest normal" and len(named) == 2
    assert min(scores[labels == 1]) == next(
        i.score for i in evaluation.images if named.get(i.path, "").startswith("lowest")
    )


@words_only
def test_a_failed_write_leaves_the_old_report(tmp_path, monkeypatch):
    report(tmp_path, make_evaluation())
    before = (tmp_path / "report.html").read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        report(tmp_path, make_evaluation(seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == before
