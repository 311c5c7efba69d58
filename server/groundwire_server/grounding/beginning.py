"""Having a request answered by the first of several models that can."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from groundwire_index.errors import GroundwireError, UnavailableError

from groundwire_server.engines.engine import Accepted, Begun, EngineEvent
from groundwire_server.engines.models import Candidates
from groundwire_server.engines.served_model import ServedModel
from groundwire_server.grounding.prepare import Material, Prepared
from groundwire_server.grounding.stopwatch import Stopwatch
from groundwire_server.usage.call import current_usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """An answer that a model has begun with."""

    model: ServedModel
    prepared: Prepared
    events: AsyncGenerator[EngineEvent, None]
    """What follows `Begun`."""
    instead_of: str = ""
    """Why it is not the model that was asked for; empty if it is."""


@asynccontextmanager
async def begun(
    candidates: Candidates, material: Material, watch: Stopwatch
) -> AsyncIterator[Beginning]:
    """Give the request to one model after the other until one has begun with it.

    One that is not available is passed over, and nobody has seen anything of its answer. If all
    are, that is what is raised, as the first said it; what else the first finds wrong with the
    request is raised at once, because the request is wrong.
    """
    failure: UnavailableError | None = None
    for model in candidates:
        try:
            # To pack its prompt, a model may be asked for tokens.
            model.require_allowed()
            prepared = await material.packed_for(model)
            watch.engine_started()
            events = model.generate(prepared.engine_request)
            await _until_begun(events)
        except GroundwireError as error:
            if failure is None and not isinstance(error, UnavailableError):
                raise
            # A model that was not asked for may be too small, or unable to do what is wanted.
            if isinstance(error, UnavailableError) and failure is None:
                failure = error
            log.debug('"%s" does not answer: %s', model.model, error)
            continue
        async with aclosing(events):
            replaces = failure is not None and model in candidates.fallbacks
            why = f'{failure}: "{model.model}" answered' if replaces else ""
            yield Beginning(model, prepared, events, why)
        return
    if failure is None:
        raise RuntimeError("there is always a model")
    raise failure


async def _until_begun(events: AsyncGenerator[EngineEvent, None]) -> None:
    """Read up to `Begun`; on any way out but that one, the generator is closed."""
    try:
        async for event in events:
            if isinstance(event, Begun):
                return
            if not isinstance(event, Accepted):
                raise TypeError(f"{type(event).__name__} came before Begun")
            current_usage().prompted(event.prompt_tokens)
    except BaseException:
        await events.aclose()
        raise
