"""The table of the course: minutes, and the verdicts that the lectures print."""

import pytest

from rcae_lite.study.verdict import verdict


@pytest.fixture(scope="module")
def course():
    import course

    return course


def test_verdicts_are_read_as_they_are_printed(course, capsys):
    print("residual AUROC by depth: 0.5")
    verdict("DPN brings detail back: at every depth", 0.5, 0.05, " dB")
    verdict("defects do not come back", -0.3, 0.02)
    assert course.VERDICT.findall(capsys.readouterr().out) == [
        ("DPN brings detail back: at every depth", "holds", "(+0.5 dB, margin 0.05 dB)"),
        ("defects do not come back", "opposite", "(-0.3, margin 0.02)"),
    ]


def test_a_column_for_each_category_and_a_dash_where_nothing_was_measured(course):
    def category(lectures):
        return {"made": "`python tools/course.py`, code `abc`", "lectures": lectures}

    first = {"03": {"minutes": 2.5, "verdicts": [["it falls", "holds", "(+1, margin 0)"]]}}
    second = {"04": {"minutes": 7.0, "verdicts": [["it comes back", "opposite", "(-1, margin 0)"]]}}
    text = course.table({"washer": category(first), "bottle": category(second)})
    lines = text.splitlines()
    assert "| 03 | 2.5 | - |" in lines and "| 04 | - | 7.0 |" in lines
    assert "| 03 | it falls | holds (+1, margin 0) | - |" in lines
    assert "| 04 | it comes back | - | opposite (-1, margin 0) |" in lines
    assert "- washer: `python tools/course.py`, code `abc`." in lines


def test_the_page_is_what_the_files_beside_it_say(course, tmp_path, monkeypatch):
    """So a lecture that was executed again has its column written again, too."""
    kept = (course.RESULTS / "README.md").read_text(encoding="utf-8")
    for path in course.RESULTS.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(course, "RESULTS", tmp_path)
    course.write_page()
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == kept, (
        "run `python tools/course.py`"
    )
