"""Plots of trajectories, detections and evaluations: data in, Figure or Axes out.

Heat maps of one figure share one colour scale. Nothing here opens a window or keeps pyplot state,
so every function works in a notebook, in a script and on a server.
"""

from rcae_lite.plotting.curves import (
    changes_by_depth,
    copied_by_size,
    loss_curves,
    pixel_curves,
    precision_recall_curve,
    pro_curve,
    residual_ladder,
    residuals_by_depth,
    restoration,
    roc_curve,
    score_strip,
)
from rcae_lite.plotting.pictures import (
    compare_maps,
    detections,
    gallery,
    heat_map,
    overlay,
    residual_limit,
    trajectory_strip,
)
from rcae_lite.plotting.style import BASELINE, DEFECTIVE, INK, NORMAL, subplots

__all__ = [
    "BASELINE",
    "DEFECTIVE",
    "INK",
    "NORMAL",
    "changes_by_depth",
    "compare_maps",
    "copied_by_size",
    "detections",
    "gallery",
    "heat_map",
    "loss_curves",
    "overlay",
    "pixel_curves",
    "precision_recall_curve",
    "pro_curve",
    "residual_ladder",
    "residual_limit",
    "residuals_by_depth",
    "restoration",
    "roc_curve",
    "score_strip",
    "subplots",
    "trajectory_strip",
]
