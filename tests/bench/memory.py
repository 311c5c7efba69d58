"""Sessions through gRPC, against the same commands to Redis straight from Python.

A pair is an exchange appended to a session, and what a model should see of its end. The peer sends
the scripts that the store sends, with the same arguments, to a Redis that is set up alike: without
gRPC, checks, token counts, or turns made into messages. The two take turns. No summaries are made
meanwhile, which is a model's work. Then long sessions against short ones, and what an idle Redis
takes.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
import psutil
import uvloop
from groundwire.v1 import generation_pb2
from groundwire.v1 import memory_service_pb2 as pb
from groundwire.v1 import memory_service_pb2_grpc as pb_grpc
from groundwire_server.engines.engine import Role
from groundwire_server.memory.keys import SessionKeys
from groundwire_server.memory.redis_link import load_script
from groundwire_server.memory.redis_server import RedisServer
from groundwire_server.memory.redis_sessions import RedisSessions
from groundwire_server.memory.session import NewTurn
from groundwire_server.memory.turn_codec import encoded
from redis.asyncio import Redis

from tests.e2e.serving import ServerProcess

RATIO, PAIRS_PER_S, P99_MS = 0.4, 1000.0, 60.0
LONG_RATIO, FORK_RATIO, IDLE_MB = 2.0, 2.0, 15.0
CLIENTS = 32
TURNS = 20
SAMPLES = 200
QUESTION = "When does the dome open, and who has to be there when the wind is strong? " * 2
ANSWER = "The dome opens at dusk, unless the wind is above eighteen metres per second. " * 4

Pair = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Rate:
    """Pairs a second, and the time of one that 99 of 100 keep below."""

    per_s: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.per_s:,.0f} pairs/s, p99 {self.p99_ms:.1f} ms"


async def rate_of(pair: Pair, seconds: float) -> Rate:
    """Of so many clients, each with a session of its own, one pair after the other."""
    times: list[float] = []
    began = time.perf_counter()
    end = began + seconds

    async def client(number: int) -> None:
        while (start := time.perf_counter()) < end:
            await pair(number)
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    per_s = len(times) / (time.perf_counter() - began)
    return Rate(per_s, statistics.quantiles(times, n=100)[98] * 1000)


class Groundwire:
    """A server, by its stub."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: pb_grpc.MemoryServiceAsyncStub = pb_grpc.MemoryServiceStub(channel)
        self._said = itertools.count(10**8)
        self._budget = 0

    def _exchange(self) -> list[pb.NewMessage]:
        """One that was never said before, of the same length each time."""
        number = next(self._said)
        return [
            pb.NewMessage(role=generation_pb2.ROLE_USER, content=f"{number} {QUESTION}"),
            pb.NewMessage(role=generation_pb2.ROLE_ASSISTANT, content=f"{number} {ANSWER}"),
        ]

    async def fill(self, session_id: str, turns: int) -> None:
        """Make a session of so many turns."""
        await self._stub.CreateSession(pb.CreateSessionRequest(session_id=session_id))
        for at in range(0, turns, 100):
            count = min(100, turns - at) // 2
            messages = [one for _ in range(count) for one in self._exchange()]
            request = pb.AppendMessagesRequest(session_id=session_id, messages=messages)
            await self._stub.AppendMessages(request)

    async def prepare(self) -> None:
        """Make the clients' sessions, and find out how many tokens so many turns have."""
        for number in range(CLIENTS):
            await self.fill(f"s{number}", TURNS)
        request = pb.BuildContextRequest(session_id="s0", budget_tokens=10**6)
        tokens = (await self._stub.BuildContext(request)).report.tokens
        # Numbers of one length may have tokens more or fewer: there is room for half an exchange.
        self._budget = tokens + tokens // TURNS

    async def pair(self, number: int) -> None:
        """Append an exchange, and read what a model should see."""
        session_id = f"s{number}"
        request = pb.AppendMessagesRequest(session_id=session_id, messages=self._exchange())
        await self._stub.AppendMessages(request)
        await self.context(session_id)

    async def context(self, session_id: str) -> None:
        """What a model should see, of so many turns."""
        request = pb.BuildContextRequest(session_id=session_id, budget_tokens=self._budget)
        built = await self._stub.BuildContext(request)
        assert len(built.messages) == TURNS

    async def fork(self, session_id: str, turn: int) -> None:
        """Fork at a turn."""
        await self._stub.ForkSession(pb.ForkSessionRequest(session_id=session_id, at_turn=turn))


class Direct:
    """The same commands, to a Redis set up alike."""

    def __init__(self, server: RedisServer, client: Redis) -> None:
        self._server = server
        self._client = client
        self._append = load_script("append", writes=True)
        self._read = load_script("read", writes=False, after="turns")
        self._tokens = (len(QUESTION) // 4, len(ANSWER) // 4)
        self._turns = [NewTurn(Role.USER, QUESTION), NewTurn(Role.ASSISTANT, ANSWER)]

    async def prepare(self) -> None:
        """Make the clients' sessions."""

        async def count(content: str) -> int:
            return len(content) // 4

        store = RedisSessions(self._server.url, count_tokens=count, keeper=self._server)
        for number in range(CLIENTS):
            await store.create("bench", "bench", session_id=f"s{number}")
            for _ in range(TURNS // 2):
                await store.append("bench", f"s{number}", self._turns)
        await store.close()
        for script in (self._append, self._read):
            await self._client.script_load(script.source)

    async def pair(self, number: int) -> None:
        """One script that appends, one that reads."""
        keys = SessionKeys("bench", f"s{number}")
        now = datetime.now(UTC)
        now_ms = int(now.timestamp() * 1000)
        stored = encoded(self._turns, self._tokens, now)
        turns = itertools.chain.from_iterable(
            zip(self._tokens, ("", ""), stored.values, strict=True)
        )
        run = self._client.evalsha
        arguments = ["", "", 86_400_000, now_ms, 10**15, now.isoformat(), *turns]
        await run(self._append.sha, 2, keys.session, keys.turns, *arguments)
        reading = ["before", 2**53, TURNS + 2, 3 * 2**20, now_ms, 10**15, 1, ""]
        await run(self._read.sha, 2, keys.session, keys.turns, *reading)


async def median_ms(call: Callable[[], Awaitable[None]], samples: int = SAMPLES) -> float:
    """Of calls one after the other."""
    times = []
    for _ in range(samples):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def pairs(ours: Groundwire, peer: Direct, rounds: int, seconds: float) -> bool:
    await ours.prepare()
    await peer.prepare()
    for warm in (ours.pair, peer.pair):
        await rate_of(warm, seconds / 2)
    found = [
        (await rate_of(ours.pair, seconds), await rate_of(peer.pair, seconds))
        for _ in range(rounds)
    ]
    rates = [rate.per_s for rate, _ in found]
    mine = Rate(statistics.median(rates), statistics.median(rate.p99_ms for rate, _ in found))
    theirs = statistics.median(rate.per_s for _, rate in found)
    ratio = statistics.median(one.per_s / other.per_s for one, other in found)
    print(
        f"AppendMessages and BuildContext of {TURNS} turns, {CLIENTS} clients: {mine}; straight to "
        f"Redis {theirs:,.0f} pairs/s; ratio {ratio:.2f} (bars: {PAIRS_PER_S:,.0f} pairs/s, "
        f"{P99_MS:g} ms, {RATIO})",
        flush=True,
    )
    return mine.per_s >= PAIRS_PER_S and mine.p99_ms < P99_MS and ratio >= RATIO


async def long_sessions(ours: Groundwire, turns: int) -> bool:
    await ours.fill("short", 100)
    await ours.fill("long", turns)
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(3):
        for name, last in (("short", 100), ("long", turns)):
            context = await median_ms(lambda name=name: ours.context(name))
            fork = await median_ms(lambda name=name, last=last: ours.fork(name, last), 50)
            times.setdefault(("BuildContext", name), []).append(context)
            times.setdefault(("ForkSession", name), []).append(fork)
    good = True
    for call, bar in (("BuildContext", LONG_RATIO), ("ForkSession", FORK_RATIO)):
        short, long = (statistics.median(times[call, name]) for name in ("short", "long"))
        print(
            f"{call}: {short:.2f} ms at 100 turns, {long:.2f} ms at {turns:,}; ratio "
            f"{long / short:.2f} (bar: at most {bar:g})",
            flush=True,
        )
        good &= long / short <= bar
    return good


async def idle(folder: Path) -> bool:
    server = RedisServer(folder)
    await server.start()
    megabytes = psutil.Process(server.pid).memory_info().rss / 1e6
    await server.close()
    print(f"Idle Redis: {megabytes:.1f} MB resident (bar: below {IDLE_MB:g})", flush=True)
    return megabytes < IDLE_MB


async def measure(address: str, folder: Path, options: argparse.Namespace) -> bool:
    server = RedisServer(folder / "peer")
    await server.start()
    try:
        async with (
            grpc.aio.insecure_channel(address) as channel,
            Redis.from_url(server.url, max_connections=CLIENTS) as client,
        ):
            ours, peer = Groundwire(channel), Direct(server, client)
            good = await pairs(ours, peer, options.rounds, options.seconds)
            good &= await long_sessions(ours, options.turns)
    finally:
        await server.close()
    return good & await idle(folder / "idle")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a round")
    parser.add_argument("--turns", type=int, default=100_000, help="of a long session")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ServerProcess(folder / "data", "--summary-after-tokens", "0") as server:
            good = uvloop.run(measure(server.address, folder, options))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
