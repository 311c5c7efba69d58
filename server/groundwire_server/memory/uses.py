"""Noting that sessions are used, on the lists of their subjects."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from groundwire_index.errors import ResourceExhaustedError, UnavailableError

from groundwire_server.memory.births import Life, ms_of
from groundwire_server.memory.keys import SubjectKeys
from groundwire_server.memory.subject_list import Listed, SubjectLists

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]


class Uses:
    """Tells the lists, which are in other slots than the sessions."""

    period_ms = 1000
    """A session that is used more often is noted once in so long."""

    def __init__(self, lists: SubjectLists) -> None:
        self._lists = lists

    def moment(self, time: datetime) -> int | str:
        """The time of a use, for scripts."""
        return ms_of(time)

    async def note(self, tenant: str, subject: str, life: Life, time: datetime) -> None:
        """Note a use. What was asked for is done: should this fail, the next use is noted."""
        try:
            await self._lists.enlist(SubjectKeys(tenant, subject), Listed(life, ms_of(time)))
        except (UnavailableError, ResourceExhaustedError) as error:
            log.debug("a use of session %s was not noted: %s", life.session_id, error)


class NoUses(Uses):
    """For whoever looks at a session without using it."""

    def moment(self, time: datetime) -> int | str:
        """None, for scripts."""
        del time
        return ""
