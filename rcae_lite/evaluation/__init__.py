"""The evaluation protocol: maps, scores and a threshold in, metrics with intervals out."""
