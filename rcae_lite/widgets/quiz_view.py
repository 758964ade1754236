"""A quiz as a widget: a button per option, and feedback at once."""

from __future__ import annotations

import re
from html import escape

from ipywidgets import HTML, Button, Layout, VBox

from rcae_lite.exercises.quiz import Option, Quiz, read_quiz

__all__ = ["quiz"]

STYLE = """<style>
.rcae-quiz button { white-space: normal; text-align: left; line-height: 1.4; padding: 6px 12px; }
.rcae-quiz button.mod-success { background: #1b6e3c; color: white; }
.rcae-quiz button.mod-warning { background: #8a4b00; color: white; }
.rcae-quiz pre { white-space: pre; overflow-x: auto; line-height: 1.3; margin: 6px 12px; }
.rcae-quiz > .widget-vbox { margin-bottom: 14px; }
.rcae-quiz .widget-html-content { line-height: 1.5; max-width: 720px; }
</style>"""


def quiz(notebook: str) -> VBox:
    """Ask the questions of a lecture; a click on an option says at once whether it is right.

    Options are buttons, so that they are reached with Tab and chosen with Enter or the space bar
    (the arrow keys of radio buttons would choose, and so answer, each one on the way); feedback is
    a status message for screen readers.

    Parameters
    ----------
    notebook : str
        Its number, such as "03".

    Returns
    -------
    ipywidgets.VBox
        To be shown as the last line of a cell: a box per question, and the result so far.

    Raises
    ------
    KitError
        If there is no such quiz.
    """
    state = read_quiz(notebook)
    result = HTML(_status(state.result()))
    asked = [_asked(state, number, result) for number in range(len(state.questions))]
    box = VBox([HTML(STYLE), *asked, result])
    box.add_class("rcae-quiz")
    return box


def _asked(state: Quiz, number: int, result: HTML) -> VBox:
    """One question: its text, its options, its feedback."""
    question = state.questions[number]
    asked = HTML(f"<b>{number + 1}. {escape(question.title)}</b><br>{_to_html(question.text)}")
    layout = Layout(width="100%", max_width="720px", height="auto")
    labels = [re.sub("[`*]", "", option.text) for option in question.options]  # plain in a button
    buttons = [Button(description=label, layout=layout) for label in labels]
    feedback = HTML(_status(""))

    def choose(button: Button) -> None:
        option = state.answer(number, buttons.index(button))
        button.button_style, button.icon = (
            ("success", "check") if option.right else ("warning", "times")
        )
        feedback.value = _status(_said(option))
        result.value = _status(state.result())

    for button in buttons:
        button.on_click(choose)
    return VBox([asked, *buttons, feedback])


def _said(option: Option) -> str:
    return f"<b>{'Right.' if option.right else 'Not yet.'}</b> {_to_html(option.feedback)}"


def _status(text: str) -> str:
    return f'<div role="status">{text}</div>'


def _to_html(text: str) -> str:
    """Escape a text; `code`, *emphasis* and fenced blocks become elements."""
    parts = escape(text).split("```")  # prose, block, prose, ...
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = "<pre>" + part.strip("\n") + "</pre>"
        else:
            part = re.sub(r"\*(.+?)\*", r"<em>\1</em>", part)
            parts[i] = re.sub(r"`(.+?)`", r"<code>\1</code>", part)
    return "".join(parts)
