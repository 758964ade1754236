"""The paper's tables, regenerated on any data, and what the detectors cost."""
