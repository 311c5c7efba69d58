"""MemoryService: conversations, and what a model should see of them."""

from __future__ import annotations

from groundwire.v1 import memory_service_pb2 as pb
from groundwire.v1 import memory_service_pb2_grpc

from groundwire_server.engines.models import Models
from groundwire_server.identity import current_identity
from groundwire_server.interceptors.method import Context
from groundwire_server.memory.context import build_context
from groundwire_server.memory.memories.store import Memories
from groundwire_server.memory.session import Sessions
from groundwire_server.services.memories import MemoryCalls
from groundwire_server.services.sessions import (
    context_message,
    new_turns_of,
    page_message,
    require_session_id,
    require_subject,
    require_title,
    session_message,
    stats_message,
    ttl_of,
    turn_message,
)
from groundwire_server.services.validate import (
    page_size_of,
    require_idempotency_key,
    require_range,
    require_text,
)


class MemoryService(memory_service_pb2_grpc.MemoryServiceServicer):
    """Checks, converts and passes on. The RPCs that are not here are UNIMPLEMENTED."""

    def __init__(self, sessions: Sessions, models: Models, memories: Memories) -> None:
        self._sessions = sessions
        self._models = models
        self._memories = MemoryCalls(memories)
        self._recall = memories.for_context

    async def CreateSession(
        self, request: pb.CreateSessionRequest, context: Context
    ) -> pb.CreateSessionResponse:
        """Create an empty session of the caller."""
        if request.session_id:
            require_session_id(request.session_id)
        require_title(request.title)
        require_idempotency_key(request.idempotency_key)
        caller = current_identity.get()
        session = await self._sessions.create(
            caller.tenant,
            caller.subject,
            session_id=request.session_id,
            title=request.title,
            ttl_s=ttl_of(request.ttl) if request.HasField("ttl") else None,
            idempotency_key=request.idempotency_key,
        )
        return pb.CreateSessionResponse(session=session_message(session))

    async def GetSession(
        self, request: pb.GetSessionRequest, context: Context
    ) -> pb.GetSessionResponse:
        """Describe a session."""
        require_session_id(request.session_id)
        session = await self._sessions.get(_tenant(), request.session_id)
        return pb.GetSessionResponse(session=session_message(session))

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: Context
    ) -> pb.ListSessionsResponse:
        """List a subject's sessions, latest use first."""
        if request.subject:
            require_subject(request.subject)
        caller = current_identity.get()
        page = await self._sessions.list(
            caller.tenant,
            request.subject or caller.subject,
            cursor=request.cursor,
            limit=page_size_of(request.page_size),
        )
        return page_message(page)

    async def ForkSession(
        self, request: pb.ForkSessionRequest, context: Context
    ) -> pb.ForkSessionResponse:
        """Make a session of the caller that shares another's turns."""
        require_session_id(request.session_id)
        require_range(request.at_turn, "at_turn", low=1)
        if request.new_session_id:
            require_session_id(request.new_session_id, "new_session_id")
        require_title(request.title)
        require_idempotency_key(request.idempotency_key)
        caller = current_identity.get()
        session = await self._sessions.fork(
            caller.tenant,
            caller.subject,
            request.session_id,
            request.at_turn,
            new_session_id=request.new_session_id,
            title=request.title,
            ttl_s=ttl_of(request.ttl) if request.HasField("ttl") else None,
            idempotency_key=request.idempotency_key,
        )
        return pb.ForkSessionResponse(session=session_message(session))

    async def ListForks(
        self, request: pb.ListForksRequest, context: Context
    ) -> pb.ListForksResponse:
        """List the forks of a session."""
        require_session_id(request.session_id)
        forks = await self._sessions.forks(_tenant(), request.session_id)
        return pb.ListForksResponse(sessions=map(session_message, forks))

    async def GetThread(
        self, request: pb.GetThreadRequest, context: Context
    ) -> pb.GetThreadResponse:
        """List all sessions that came from one by forking."""
        require_session_id(request.session_id)
        thread = await self._sessions.thread(_tenant(), request.session_id)
        return pb.GetThreadResponse(sessions=map(session_message, thread))

    async def GetSessionStats(
        self, request: pb.GetSessionStatsRequest, context: Context
    ) -> pb.GetSessionStatsResponse:
        """Say what the turns of a session add up to."""
        require_session_id(request.session_id)
        return stats_message(await self._sessions.stats(_tenant(), request.session_id))

    async def DeleteSession(
        self, request: pb.DeleteSessionRequest, context: Context
    ) -> pb.DeleteSessionResponse:
        """Delete a session and its turns."""
        require_session_id(request.session_id)
        turns = await self._sessions.delete(_tenant(), request.session_id)
        return pb.DeleteSessionResponse(turns=turns)

    async def AppendMessages(
        self, request: pb.AppendMessagesRequest, context: Context
    ) -> pb.AppendMessagesResponse:
        """Append turns, all or none."""
        require_session_id(request.session_id)
        require_idempotency_key(request.idempotency_key)
        head = await self._sessions.append(
            _tenant(),
            request.session_id,
            new_turns_of(request.messages),
            expected_head=request.expected_head if request.HasField("expected_head") else None,
            idempotency_key=request.idempotency_key,
        )
        return pb.AppendMessagesResponse(head=head)

    async def ListMessages(
        self, request: pb.ListMessagesRequest, context: Context
    ) -> pb.ListMessagesResponse:
        """Read a page of turns, in order; shorter than asked for if the turns are large."""
        require_session_id(request.session_id)
        page = await self._sessions.turns(
            _tenant(),
            request.session_id,
            after=request.after,
            limit=page_size_of(request.page_size),
        )
        last = page.turns[-1].number if page.turns else page.head
        return pb.ListMessagesResponse(
            turns=map(turn_message, page.turns),
            next_after=last if last < page.head else 0,
            head=page.head,
        )

    async def BuildContext(
        self, request: pb.BuildContextRequest, context: Context
    ) -> pb.BuildContextResponse:
        """Pack what the named model should see of a session."""
        require_session_id(request.session_id)
        require_range(request.budget_tokens, "budget_tokens", low=1)
        for field in ("query", "system_prompt"):
            if text := getattr(request, field):
                require_text(text, field)
        built = await build_context(
            self._sessions,
            _tenant(),
            request.session_id,
            query=request.query,
            budget_tokens=request.budget_tokens,
            system_prompt=request.system_prompt,
            count_messages=self._models.get(request.model).count_tokens,
            recall=self._recall,
        )
        return context_message(built)

    async def Remember(self, request: pb.RememberRequest, context: Context) -> pb.RememberResponse:
        """Store a memory."""
        return await self._memories.remember(request)

    async def Recall(self, request: pb.RecallRequest, context: Context) -> pb.RecallResponse:
        """Find the memories that matter for a query."""
        return await self._memories.recall(request)

    async def UpdateMemory(
        self, request: pb.UpdateMemoryRequest, context: Context
    ) -> pb.UpdateMemoryResponse:
        """Put another in a memory's place."""
        return await self._memories.update(request)

    async def ListMemories(
        self, request: pb.ListMemoriesRequest, context: Context
    ) -> pb.ListMemoriesResponse:
        """A page of memories, the last created first."""
        return await self._memories.list(request)

    async def Forget(self, request: pb.ForgetRequest, context: Context) -> pb.ForgetResponse:
        """Remove memories for good."""
        return await self._memories.forget(request)


def _tenant() -> str:
    return current_identity.get().tenant
