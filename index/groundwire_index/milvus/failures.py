"""What an error of Milvus means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from groundwire_index.errors import (
    DataLossError,
    FailedPreconditionError,
    GroundwireError,
    ResourceExhaustedError,
    UnavailableError,
)

# Numbers of Milvus' own errors: memory, requests, disk, rate, quota, resources.
_EXHAUSTED = frozenset({3, 4, 7, 8, 9, 12})
_COLLECTION_NOT_FOUND = 100
# Statuses of gRPC that pymilvus hands on as they are.
_REFUSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT", "UNIMPLEMENTED"})
_MOST_CHARACTERS = 400


@contextmanager
def milvus_errors(library: Any) -> Iterator[None]:
    """Raise what pymilvus raises as an error of ours."""
    rpc_error: type[Exception] = library.decorators.grpc.RpcError
    try:
        yield
    except (library.exceptions.ConnectionConfigException, library.exceptions.ParamError) as error:
        raise _refused(error.message) from error
    except library.MilvusException as error:
        raise _of_milvus(error) from error
    except rpc_error as error:
        raise _of_grpc(error) from error


def _of_milvus(error: Any) -> GroundwireError:
    said = _shortened(error.message)
    if error.code in _EXHAUSTED:
        return ResourceExhaustedError(f"Milvus has no room: {said}", reason="MILVUS_EXHAUSTED")
    if error.code == _COLLECTION_NOT_FOUND:
        return DataLossError(
            f"Milvus has lost a collection of this index: {said}", reason="MILVUS_COLLECTION_GONE"
        )
    if error.is_input_error:
        return _refused(said)
    return UnavailableError(f"Milvus does not answer: {said}", reason="MILVUS_UNAVAILABLE")


def _of_grpc(error: Any) -> GroundwireError:
    name, said = error.code().name, _shortened(error.details() or "")
    if name in _REFUSED:
        return _refused(f"{name}: {said}")
    if name == "RESOURCE_EXHAUSTED":
        return ResourceExhaustedError(
            f"a request to Milvus, or its answer, is too large: {said}",
            reason="MILVUS_MESSAGE_TOO_LARGE",
            retry_after_s=None,
        )
    return UnavailableError(f"Milvus does not answer: {name}: {said}", reason="MILVUS_UNAVAILABLE")


def _refused(said: str) -> FailedPreconditionError:
    return FailedPreconditionError(f"Milvus refuses: {_shortened(said)}", reason="MILVUS_REFUSED")


def _shortened(said: str) -> str:
    return said if len(said) <= _MOST_CHARACTERS else said[:_MOST_CHARACTERS] + "…"
