"""Removing sessions that are too old, too many or too large, and what nobody needs any more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from groundwire_index.errors import NotFoundError

from groundwire_server.memory.births import Birth, Life, born_ms, ms_of
from groundwire_server.memory.keys import ALL_KEYS, SessionKeys, SubjectKeys, held_of, subject_of
from groundwire_server.memory.redis_link import RedisLink
from groundwire_server.memory.session_births import SessionBirths
from groundwire_server.memory.session_views import GHOST_MS, Described, SessionViews
from groundwire_server.memory.shared_turns import Hold, SharedTurns
from groundwire_server.memory.sizes import Size, Sized, TenantSizes
from groundwire_server.memory.subject_list import Listed, SubjectLists
from groundwire_server.memory.uses import Clock

log = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_ALL = 2**31
# Nobody waits for it.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Retention:
    """How long sessions of a tenant are kept."""

    idle_days: float | None = None
    """Days without use; None: for ever."""
    sessions_per_subject: int | None = None
    """The latest used ones; None: all."""
    turns: int | None = None
    """Of all sessions together, the latest used ones; None: all."""
    bytes: int | None = None
    """The same by what the turns take."""

    @property
    def is_sized(self) -> bool:
        """Whether it matters how much there is of all sessions together."""
        return self.turns is not None or self.bytes is not None


@dataclass(frozen=True, slots=True)
class Policies:
    """The retention of each tenant."""

    default: Retention = Retention()
    by_tenant: Mapping[str, Retention] = field(default_factory=dict)

    def of(self, tenant: str) -> Retention:
        """What holds for a tenant."""
        return self.by_tenant.get(tenant, self.default)


@dataclass(slots=True)
class Swept:
    """What one pass over all sessions has removed."""

    idle: int = 0
    surplus: int = 0
    size: int = 0
    freed: int = 0
    """Holds of forks that are gone, by crash or by expiry."""


class SessionRetention:
    """Goes over what all tenants have stored. Two servers may do so at once."""

    def __init__(
        self,
        link: RedisLink,
        lists: SubjectLists,
        shared: SharedTurns,
        births: SessionBirths,
        views: SessionViews,
        clock: Clock,
    ) -> None:
        self._link = link
        self._lists = lists
        self._shared = shared
        self._births = births
        self._views = views
        self._clock = clock

    async def sweep(
        self,
        policies: Policies,
        *,
        on_kept: Callable[[str, Described], None] = lambda _tenant, _session: None,
    ) -> Swept:
        """Remove what is due; what this has removed is counted for its subject, too.

        ``on_kept`` is told of the sessions that are there and not removed for their subject's sake.
        """
        swept = Swept()
        sized: dict[str, TenantSizes] = {}
        async for key in self._link.keys(ALL_KEYS):
            if (subject := subject_of(key)) is not None:
                policy = policies.of(subject.tenant)
                kept = await self._sweep_subject(subject, policy, swept, on_kept)
                if policy.is_sized:
                    met = sized.setdefault(subject.tenant, TenantSizes())
                    met.sessions.update((one.listed.life, one) for one in kept)
            elif (held := held_of(key)) is not None:
                life, freed = await self._sweep_held(*held)
                swept.freed += freed
                if policies.of(tenant := held[0].tenant).is_sized:
                    await self._measure(tenant, life, sized.setdefault(tenant, TenantSizes()))
        for tenant, sizes in sized.items():
            policy = policies.of(tenant)
            for one in sizes.past(policy.turns, policy.bytes):
                swept.size += await self._remove(one.keys, [one.listed])
        return swept

    async def _sweep_subject(
        self,
        keys: SubjectKeys,
        policy: Retention,
        swept: Swept,
        on_kept: Callable[[str, Described], None],
    ) -> Iterator[Sized]:
        """What is kept."""
        listed = (await self._lists.page(keys, "", _ALL)).listed
        lives = (one.life for one in listed)
        found = await self._views.living(keys.tenant, lives, at_once=_AT_ONCE)
        # Ghosts are not among those that a subject may have.
        await self._views.prune(keys, (one for one in listed if one.life not in found))
        kept = [
            await self._caught_up(keys, one, found[one.life]) for one in listed if one.life in found
        ]
        kept.sort(key=lambda one: -one.used_ms)
        if policy.idle_days is not None:
            limit = ms_of(self._clock()) - policy.idle_days * _DAY_MS
            idle = [one for one in kept if one.used_ms < limit]
            kept = kept[: len(kept) - len(idle)]
            swept.idle += await self._remove(keys, idle)
        if policy.sessions_per_subject is not None:
            swept.surplus += await self._remove(keys, kept[policy.sessions_per_subject :])
            kept = kept[: policy.sessions_per_subject]
        for one in kept:
            on_kept(keys.tenant, found[one.life])
        return (
            Sized(keys, one, Size(found[one.life].own_turns, found[one.life].own_bytes))
            for one in kept
        )

    async def _caught_up(self, keys: SubjectKeys, listed: Listed, found: Described) -> Listed:
        """Note a use that a crash, or a list that could not be reached, has left out."""
        used = Listed(listed.life, ms_of(found.session.use_time))
        if used.used_ms <= listed.used_ms:
            return listed
        await self._lists.enlist(keys, used)
        return used

    async def _remove(self, keys: SubjectKeys, due: list[Listed]) -> int:
        removed = 0
        for one in due:
            try:
                gone = await self._births.delete(
                    keys.tenant, one.life.session_id, unused_since_ms=one.used_ms
                )
            except NotFoundError:
                continue
            if gone is not None:
                await self._lists.retire(keys, gone.life, ms_of(self._clock()))
                removed += 1
        return removed

    async def _sweep_held(self, keys: SessionKeys, birth: str) -> tuple[Life, int]:
        """Let go of what is held by forks that are not there, and not about to be.

        Whose turns these are, and how many forks have let go.
        """
        birth = birth or await self._shared.birth_held(keys.tenant, keys.session_id)
        life = Life(keys.session_id, Birth(birth))
        holders, _ = await self._shared.holders(keys.tenant, life)
        now, freed = ms_of(self._clock()), 0
        for fork in holders:
            young = now - born_ms(fork.birth) < GHOST_MS
            if not young and not await self._shared.lives(keys.tenant, fork):
                await self._shared.release(keys.tenant, Hold(life, fork))
                freed += 1
        await self._shared.settle(keys.tenant, life)
        return life, freed

    async def _measure(self, tenant: str, life: Life, sizes: TenantSizes) -> None:
        holders, _ = await self._shared.holders(tenant, life)
        sizes.forks[life] = tuple(holders)
        sizes.left[life] = await self._shared.left(tenant, life)
