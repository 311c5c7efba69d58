"""What holds on a cluster beside what holds everywhere."""

from __future__ import annotations

import asyncio

from tests.conformance.sessions.servers import closing, sessions_at


async def test_calls_in_progress_when_the_cluster_is_found_all_succeed(
    cluster_url: str, tenant: str
) -> None:
    async with closing(sessions_at(cluster_url)) as store:
        created = await asyncio.gather(*(store.create(tenant, "ada") for _ in range(200)))
        found = await asyncio.gather(*(store.get(tenant, session.id) for session in created))
    assert found == created
