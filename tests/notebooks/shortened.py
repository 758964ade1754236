"""Settings that let a lecture run in seconds, put into it from outside.

A lecture's own settings stand in the cells tagged ``parameters``. What is said here is run after
the first and after the last of them, as papermill would inject it; `DRAW_FEW` before everything.
"""

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tests.conftest import FEW_IMAGES

SHORT = "dict(steps=3, batch_size=4)"
POOL = "pool_chunk=8, pool_chunks=1"
PRESET = f"dict(rcae=dict({SHORT}, half_size_steps=1), dpn={SHORT}, crd=dict({SHORT}, {POOL}))"
DRAW_FEW = f"from data_utils import synthetic\n\nvars(synthetic).update({FEW_IMAGES})"
EVERYWHERE = f"""\
import functools

from rcae_lite.evaluation import protocol
from tests.legible import watch

overlaps = watch()
protocol.pixel_metrics = functools.partial(protocol.pixel_metrics, resamples=5)
if "category" in globals():  # of one's own it may have many images
    train = category.train.subset(range(min(16, len(category.train))))
    test = category.test.subset(range(0, len(category.test), max(1, len(category.test) // 20)))
for name in {{"detector_for", "detectors_for"}} & set(globals()):
    few = {PRESET} | dict(single_pass={SHORT})
    globals()[name] = functools.partial(globals()[name], **few)
"""
OWN = {
    "03": "STEPS = 3, 3",
    "04": "STEPS = 3",
    "05": f"OWN, STEPS = dict(images=16, steps=3), dict({SHORT}, {POOL})",
    "06": f"TRIED, options = 2, {PRESET}",
    "07": "STEPS = 4",
    "08": "STEPS = 3",
    "09": f"""JOBS = 1
budget |= dict(seeds=(0, 1), step_fraction=0.005, size=32)
budget |= dict(rcae=dict(half_size_steps=0), crd=dict({POOL}, crop=0))""",
    "10": f"photographs, options = (24, 4), {PRESET}; options['rcae']['depth'] = 1",
}


def shorten(notebook: NotebookNode, number: str) -> None:
    """Put the settings for the tests into a lecture, and a look at its figures at the end."""
    places = [
        place
        for place, cell in enumerate(notebook.cells)
        if "parameters" in cell.metadata.get("tags", [])
    ]
    notebook.cells.insert(places[-1] + 1, new_code_cell(OWN.get(number, "")))
    notebook.cells.insert(places[0] + 1, new_code_cell(EVERYWHERE))
    notebook.cells.insert(0, new_code_cell(DRAW_FEW))
    notebook.cells.append(new_code_cell("assert not overlaps, overlaps"))
