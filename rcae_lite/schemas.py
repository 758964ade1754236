"""What the JSON files of a training must look like before anything in them is used.

JSON schemas of draft 4. Names of the configuration are checked by `rcae_lite.config`, tensors by
`rcae_lite.checkpoint`; here are the fields, their types, and bounds that keep a file which was
tampered with from asking for all of the memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rcae_lite.config import Config, Stage

__all__ = ["CHECKPOINT", "DETECTOR", "EVALUATION", "RUN", "STAGE"]

Schema = dict[str, Any]

_LIMITS = {  # generous: a detector beyond them does not fit into any memory
    "size": 8192,
    "depth": 13,
    "rcae_width": 4096,
    "dpn_width": 4096,
    "crd_width": 4096,
    "channels": 4096,
    "batch_size": 1 << 20,
    "pool_chunk": 1 << 20,
    "pool_chunks": 1 << 20,
}
_NUMBER: Schema = {
    "type": "number",
    "minimum": -1e30,
    "maximum": 1e30,
}  # JSON's 1e999 would be infinite
_RATE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
_TYPES: dict[str, Schema] = {
    "str": _TEXT,
    "int": _COUNT,
    "float": _NUMBER,
    "bool": {"type": "boolean"},
    "tuple[str, ...]": {"type": "array", "items": _TEXT},
    "tuple[int, ...]": {"type": "array", "items": _COUNT},
}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    """Fields that must be there, fields that may, and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _map_of(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def _fields_of(options: type) -> Schema:
    """Turn a dataclass of options into a schema: the fields with a default may be missing."""
    required: dict[str, Schema] = {}
    optional: dict[str, Schema] = {}
    for field in dataclasses.fields(options):
        schema = _STAGE if field.type == "Stage" else dict(_TYPES[str(field.type)])
        if field.name in _LIMITS:
            schema["maximum"] = _LIMITS[field.name]
        has_default = field.default is not dataclasses.MISSING
        (optional if has_default else required)[field.name] = schema
    names_checked_elsewhere = {"additionalProperties": True}
    return _object(required, **optional) | names_checked_elsewhere


_STAGE = _fields_of(Stage)
_CONFIG = _fields_of(Config)
_HEAD: dict[str, Schema] = {"kind": _TEXT, "format_version": _COUNT}
_SECONDS = _map_of(_NUMBER)
_PARTS = _map_of({"type": "integer", "minimum": 2})
_LOSSES = _map_of({"type": "array"})  # of many pairs, which are checked as they are read
_TRAINED = {
    "type": "object",
    "properties": {
        "seconds": _SECONDS,
        "device": _TEXT,
        "threads": _COUNT,
        "training_images": _COUNT,
        "calibration_images": _COUNT,
        "batch_parts": _PARTS,
    },
}

DETECTOR = _object(
    {
        **_HEAD,
        "config": _CONFIG,
        "seed": _COUNT,
        "threshold": _or_null(_NUMBER),
        "false_alarm_rate": _or_null(_RATE),
        "calibration_scores": {"type": "array", "items": _NUMBER},
        "trained": _TRAINED,
    },
    losses=_LOSSES,
)

CHECKPOINT = _object(
    {
        **_HEAD,
        "stage": _TEXT,
        "done": _COUNT,
        "stage_seconds": _NUMBER,
        "config": _CONFIG,
        "seed": _COUNT,
        "data": _TEXT,
        "training_images": _TEXT,
        "seconds": _SECONDS,
        "losses": _LOSSES,
        "parts": {"type": "integer", "minimum": 1, "maximum": 1 << 20},
        "batch_parts": _PARTS,
    }
)

STAGE = _object(
    {**_HEAD, "stage": _TEXT, "seconds": _NUMBER, "losses": {"type": "array"}},
    device=_TEXT,
    threads=_COUNT,
    version=_TEXT,
    torch=_TEXT,
    code_version=_or_null(_TEXT),
)

RUN = _object(
    {
        **_HEAD,
        "command": _TEXT,
        "data": _TEXT,
        "format": _TEXT,
        "category": _TEXT,
        "data_fingerprint": _TEXT,
        "seed": _COUNT,
        "config": _CONFIG,
        "version": _TEXT,
        "code_version": _or_null(_TEXT),
        "python": _TEXT,
        "torch": _TEXT,
        "threads": {"type": "integer", "minimum": 1, "maximum": 4096},
    },
    false_alarm_rate=_or_null(_RATE),
    device=_TEXT,
    machine=_TEXT,
    torchvision=_TEXT,
    numpy=_TEXT,
    scipy=_TEXT,
    pillow=_TEXT,
    resumed_with={"type": "array", "items": {"type": "object"}},
)

_POINTS = {
    "type": "array",
    "items": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 3},
}
EVALUATION: Schema = {
    "type": "object",
    "properties": {  # those that are used as they stand; `Evaluation.from_dict` converts the others
        "detector": {"enum": ["rcae", "single_pass", "rcae_residual", "dpn_residual"]},
        "category": _TEXT,
        "preset": _TEXT,
        "seed": _COUNT,
        "resolution": {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2},
        "parameters": _map_of(_COUNT),
        "seconds": _object({"train": _SECONDS, "inference_per_image": _NUMBER}),
        "device": _TEXT,
        "evaluated_on": _TEXT,
        "threads": _COUNT,
        "data_fingerprint": _TEXT,
        "training_images": _COUNT,
        "calibration_images": _COUNT,
        "test_images": _COUNT,
        "version": _TEXT,
        "code_version": _or_null(_TEXT),
        "torch": _TEXT,
        "score_rule": _TEXT,
        "command": _TEXT,
        "trained_with": _or_null(_TEXT),
        "curves": _map_of(_POINTS),
    },
}
