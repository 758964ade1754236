"""Predictions are kept, compared with what came out, and counted."""

import pytest

from data_utils import KitError
from rcae_lite.widgets import Predictions


@pytest.fixture
def file(tmp_path):
    return tmp_path / "predictions.json"


def test_an_interval_is_kept_over_a_restart_and_compared(file, capsys):
    field = Predictions("03", file).number("parameters", "times as many", 1, 10)
    field.children[1].value = (2.0, 4.5)
    again = Predictions("03", file)
    assert again.number("parameters", "times as many", 1, 10).children[1].value == (2.0, 4.5)
    again.reveal("parameters", 1.0)
    again.reveal("parameters", 4.5)
    assert capsys.readouterr().out.splitlines() == [
        "You predicted between 2 and 4.5. It is 1 times as many: not as predicted.",
        "You predicted between 2 and 4.5. It is 4.5 times as many: right.",
    ]


def test_a_choice_may_have_several_right_answers(file, capsys):
    predict = Predictions("03", file)
    field = predict.choice("first", ["small", "large", 3])
    assert field.children[1].value is None
    field.children[1].value = "3"
    predict.reveal("first", "small", 3)
    predict.reveal("first", "small")
    assert capsys.readouterr().out.splitlines() == [
        "You predicted 3. It is small or 3: right.",
        "You predicted 3. It is small: not as predicted.",
    ]


def test_without_a_prediction_nothing_is_written_and_the_answer_is_said(file, capsys):
    predict = Predictions("03", file)
    predict.choice("first", ["small", "large"])
    predict.reveal("first", "small")
    predict.calibration()
    out = capsys.readouterr().out
    assert out.startswith("You made no prediction. It is small.\nthis notebook: no prediction yet")
    assert not file.exists()


def test_calibration_counts_this_notebook_and_all(file, capsys):
    first = Predictions("02", file)
    first.number("share", "%", 0, 100).children[1].value = (10, 20)
    first.reveal("share", 15)
    second = Predictions("03", file)
    for name, said in (("a", "yes"), ("b", "no")):
        second.choice(name, ["yes", "no"]).children[1].value = said
        second.reveal(name, "yes")
    second.choice("never revealed", ["yes", "no"]).children[1].value = "no"
    capsys.readouterr()
    second.calibration()
    assert capsys.readouterr().out.splitlines() == [
        "this notebook: 1 of 2 choices right, 0 of 0 intervals hold the number (aim for 80%)",
        "all so far: 1 of 2 choices right, 1 of 1 intervals hold the number (aim for 80%)",
    ]


def test_another_prediction_is_compared_anew(file, capsys):
    predict = Predictions("03", file)
    field = predict.choice("a", ["yes", "no"])
    field.children[1].value = "yes"
    predict.reveal("a", "yes")
    field.children[1].value = "no"
    capsys.readouterr()
    predict.calibration()
    assert "no prediction yet" in capsys.readouterr().out


def test_a_damaged_file_is_named(file):
    file.write_text("{")
    with pytest.raises(KitError, match="predictions.json"):
        Predictions("03", file)
