"""The spec of a collection as JSON: in catalogs, and in the manifests of snapshots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from groundwire_index.records import CollectionSpec, Fingerprint, Metric, VectorType


def spec_fields(spec: CollectionSpec) -> dict[str, Any]:
    """A spec as a JSON object.

    Float32 is not written: so what was written before there was a choice still reads, and still
    equals what is written of the same spec now.
    """
    fields = asdict(spec) | {"metric": spec.metric.value, "vector_type": spec.vector_type.value}
    if spec.vector_type is VectorType.FLOAT32:
        del fields["vector_type"]
    return fields


def spec_of(fields: Mapping[str, Any]) -> CollectionSpec:
    """The spec of a JSON object. Raises KeyError, TypeError or ValueError for what is none."""
    fingerprint = fields["fingerprint"]
    return CollectionSpec(
        **{
            **fields,
            "metric": Metric(fields["metric"]),
            "vector_type": VectorType(fields.get("vector_type", "float32")),
            "fingerprint": None if fingerprint is None else Fingerprint(**fingerprint),
        }
    )


def encode_spec(spec: CollectionSpec) -> str:
    """A spec as text, equal for equal specs."""
    return json.dumps(spec_fields(spec), sort_keys=True, ensure_ascii=False)


def decode_spec(encoded: str) -> CollectionSpec:
    """The spec of a text."""
    return spec_of(json.loads(encoded))
