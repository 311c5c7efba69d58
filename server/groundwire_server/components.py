"""The parts of the server that can work or fail: started together, looked at, closed in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from groundwire_index.errors import GroundwireError

log = logging.getLogger(__name__)


class Component(Protocol):
    """A part with a life of its own: an engine, an embedder, the index, the session store."""

    @property
    def name(self) -> str:
        """For people and for metrics, e.g. "index", "engine/mixtral"."""
        ...

    async def start(self) -> None:
        """Make it work. Called once; raises a GroundwireError that says what to do."""
        ...

    async def check(self) -> None:
        """Raise a GroundwireError if requests that need it would fail now. Cheap."""
        ...

    async def close(self) -> None:
        """Stop it. Called also when `start` failed, was cancelled, or never ran."""
        ...


class State(Enum):
    """Whether a component works."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known of one component."""

    name: str
    state: State = State.STARTING
    detail: str = ""
    """Why it failed and what to do."""


class Components:
    """All components. They start and are looked at together, and close in reverse order."""

    def __init__(self, components: Iterable[Component], *, check_timeout_s: float = 2.0) -> None:
        self._components = tuple(components)
        self._check_timeout_s = check_timeout_s
        self._conditions = {each.name: Condition(each.name) for each in self._components}

    @property
    def conditions(self) -> Sequence[Condition]:
        """What was found when each was last looked at, in order."""
        return tuple(self._conditions.values())

    def condition_of(self, name: str) -> Condition:
        """What was found when this one was last looked at."""
        return self._conditions[name]

    def is_any_ready(self, names: Iterable[str]) -> bool:
        """Whether one of these worked when they were last looked at."""
        return any(self._conditions[name].state is State.READY for name in names)

    async def start(self) -> None:
        """Start all at once. When one fails the others are cancelled and its error raised."""
        try:
            async with asyncio.TaskGroup() as group:
                for component in self._components:
                    group.create_task(self._start(component))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def check(self) -> None:
        """Look at each once, at the same time."""
        async with asyncio.TaskGroup() as group:
            for component in self._components:
                group.create_task(self._check(component))

    async def close(self) -> None:
        """Close all, the last first. One that cannot be closed does not keep others open."""
        for component in reversed(self._components):
            try:
                await component.close()
            except Exception:
                log.exception("%s did not close", component.name)

    async def _start(self, component: Component) -> None:
        began = time.monotonic()
        await component.start()
        self._conditions[component.name] = Condition(component.name, State.READY)
        log.debug("%s started in %.2f s", component.name, time.monotonic() - began)

    async def _check(self, component: Component) -> None:
        condition = await self._found(component)
        before = self._conditions[component.name]
        self._conditions[component.name] = condition
        if condition.state is before.state:
            return
        if condition.state is State.FAILED:
            log.error("%s fails: %s", component.name, condition.detail)
        else:
            log.info("%s works again", component.name)

    async def _found(self, component: Component) -> Condition:
        try:
            async with asyncio.timeout(self._check_timeout_s):
                await component.check()
        except GroundwireError as error:
            return Condition(component.name, State.FAILED, error.message)
        except TimeoutError:
            why = f"did not answer within {self._check_timeout_s:g} s"
            return Condition(component.name, State.FAILED, why)
        except Exception:
            log.exception("the check of %s failed", component.name)
            return Condition(component.name, State.FAILED, "its check failed: see the log")
        return Condition(component.name, State.READY)
