"""Usage on the wire."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from groundwire.v1 import admin_service_pb2 as pb
from groundwire_index.errors import InvalidArgumentError

from groundwire_server.identity import is_identity
from groundwire_server.services.cursors import cursor_after, name_before
from groundwire_server.services.durations import duration_message
from groundwire_server.services.memory_messages import optional_time
from groundwire_server.services.sessions import require_subject
from groundwire_server.services.validate import (
    MAX_ID_BYTES,
    page_size_of,
    require,
    require_bytes,
)
from groundwire_server.usage.report import Position, Question, UsagePage, UsageReports, Used
from groundwire_server.usage.store import OTHERS

_PAGE_SIZE = 1000
_SHORTEST = timedelta(microseconds=1)


async def usage_response(
    reports: UsageReports, tenant: str, request: pb.GetUsageRequest
) -> pb.GetUsageResponse:
    """Check what is asked, and give a page of what was used."""
    question = _question(request)
    limit = page_size_of(request.page_size, default=_PAGE_SIZE)
    after = _position(request.cursor) if request.cursor else None
    page = await reports.page(tenant, question, after=after, limit=limit)
    return _response(page)


def _question(request: pb.GetUsageRequest) -> Question:
    if request.subject:
        require_subject(request.subject)
    require_bytes(request.model, "model", max_bytes=MAX_ID_BYTES)
    start, end = optional_time(request, "start_time"), optional_time(request, "end_time")
    if start is not None and end is not None:
        require(start < end, "end_time", "must be after start_time")
    return Question(request.subject, request.model, _day_of(start), _day_before(end))


def _day_of(time: datetime | None) -> date | None:
    return None if time is None else time.date()


def _day_before(end: datetime | None) -> date | None:
    """The last day of which a part is before ``end``."""
    return None if end is None else (end - _SHORTEST).date()


def _response(page: UsagePage) -> pb.GetUsageResponse:
    return pb.GetUsageResponse(
        days=map(_message, page.rows),
        next_cursor=_cursor(page.rows[-1].position) if page.more else "",
    )


def _message(used: Used) -> pb.UsageDay:
    position, counts = used.position, used.counts
    return pb.UsageDay(
        date=position.day.isoformat(),
        subject=position.subject,
        model=position.model,
        requests=counts.requests,
        errors=counts.errors,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        average_latency=duration_message(counts.average_latency_s),
        p95_latency=duration_message(counts.p95_latency_s),
        average_confidence=counts.average_confidence or 0.0,
        cache_hits=counts.cache_hits,
        other_subjects=position.others,
    )


def _cursor(position: Position) -> str:
    return cursor_after(f"{position.day.isoformat()} {position.subject} {position.model}")


def _position(cursor: str) -> Position:
    day, _, rest = name_before(cursor).partition(" ")
    subject, space, model = rest.partition(" ")
    others = subject == OTHERS
    try:
        if not space or not (others or is_identity(subject)):
            raise ValueError(subject)
        return Position(date.fromisoformat(day), others, subject, model)
    except ValueError as error:
        raise InvalidArgumentError(
            "cursor", "is not one that this server gave out: pass next_cursor, or nothing"
        ) from error
