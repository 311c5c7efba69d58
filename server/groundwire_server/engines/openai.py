"""Text from any server of the OpenAI API: vLLM elsewhere, Ollama, a hosted one."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from groundwire_index.errors import (
    FailedPreconditionError,
    GroundwireError,
    ResourceExhaustedError,
    UnavailableError,
)
from groundwire_index.records import JsonValue

from groundwire_server.blocking import run_blocking
from groundwire_server.engines.engine import (
    Accepted,
    Begun,
    EngineEvent,
    EngineRequest,
    Message,
    ReasoningPiece,
    TextPiece,
    ToolCallPiece,
)
from groundwire_server.engines.openai_constraint import as_of_form, failed_at
from groundwire_server.engines.openai_dialect import AUTO
from groundwire_server.engines.openai_errors import BrokenError
from groundwire_server.engines.openai_request import body_of, path_of, prompt_of
from groundwire_server.engines.openai_stream import ChoiceStreams
from groundwire_server.engines.openai_tokens import bytes_of, estimated_tokens, tool_bytes
from groundwire_server.engines.prompt_limit import prompt_too_long
from groundwire_server.engines.template import NOTHING_BESIDES, TemplateInput
from groundwire_server.waiting import Waiting

if TYPE_CHECKING:
    from groundwire_server.engines.openai_http import OpenAiServer
    from groundwire_server.engines.openai_models import ServedModel

# Tokens that a chat template adds at most, where a prompt is so short that nothing is counted.
_TEMPLATE_TOKENS = 1024
# A tokenizer that has not answered is asked again after so many seconds: a prompt is packed by a
# dozen counts, which would all wait for it.
_ESTIMATED_S = 5.0
# The status of a server that failed at a request without saying why.
_FAILED = 500

log = logging.getLogger(__name__)


class OpenAiEngine:
    """One model of a server of the OpenAI API.

    It starts also while the server is out of reach, and works as soon as it is there. Only what
    waiting cannot mend keeps it from starting: a key that is refused, a model that is not there.
    """

    name = "openai"
    adapters = ()

    def __init__(
        self,
        url: str,
        model: str,
        *,
        name: str = "",
        api_key: str = "",
        dialect: str = AUTO,
        context_length: int = 0,
        max_tokens_default: int = 1024,
        template_arguments: Mapping[str, JsonValue] | None = None,
        silence_s: float = 300.0,
        check_period_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the URL of the API, a model that it has, and the name that requests use for it.

        ``context_length`` 0 is what the server says. An answer has ``max_tokens_default`` tokens
        at most, and the chat template is given ``template_arguments``, where the request does not
        say. An answer that is silent for ``silence_s`` seconds is given up. What `check` found
        holds for ``check_period_s``.
        """
        self._url = url
        self._source = model
        self._name = name or model
        self._api_key = api_key
        self._dialect = dialect
        self._context_length = context_length
        self._max_tokens_default = max_tokens_default
        self._template_arguments = dict(template_arguments or {})
        self._silence_s = silence_s
        self._check_period_s = check_period_s
        self._clock = clock
        self._server: OpenAiServer | None = None
        self._served: ServedModel | None = None
        self._works_until = float("-inf")
        self._estimated_until = float("-inf")
        # Prompt tokens of each that has no token yet.
        self._waiting: dict[str, int] = {}

    @property
    def model(self) -> str:
        """The model name that requests use."""
        return self._name

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together; 0 if neither setting nor server says."""
        return self._context_length or (self._served.context_length if self._served else 0)

    @property
    def waiting(self) -> Waiting:
        """Generations whose first token is not there yet; their tokens are in part estimated."""
        return Waiting(len(self._waiting), sum(self._waiting.values()))

    async def start(self) -> None:
        """Look whether the server has the model. Raises FailedPreconditionError if it has not."""
        require_installed()
        await run_blocking(import_module, "groundwire_server.engines.openai_http")
        from groundwire_server.engines.openai_http import OpenAiServer

        self._server = OpenAiServer(self._url, self._api_key, silence_s=self._silence_s)
        try:
            await self._learn(self._server)
        except (UnavailableError, ResourceExhaustedError) as error:
            log.warning('"%s" is not there yet: %s', self._name, error)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent, None]:
        """Stream the events of one generation; see `Engine`.

        The server is asked once the request is taken, so what it alone finds wrong is raised
        between `Accepted` and `Begun`; and asked again where that may help, until it has begun to
        answer. A piece whose tokens it does not count is taken for one token.
        """
        server = self._started()
        served = self._served or await self._learn(server)
        prompt_tokens, max_tokens = await self._measured(request, server, served)
        body = body_of(request, self._source, served.dialect, max_tokens, self._template_arguments)
        yield Accepted(prompt_tokens)
        streams = ChoiceStreams(request.sampling.n, counts_pieces=served.dialect.counts_pieces)
        key = uuid.uuid4().hex
        begun = False
        self._waiting[key] = prompt_tokens
        try:
            async with server.streamed(path_of(request), body, request.deadline) as answer:
                async for told in answer:
                    if not begun:
                        begun = True
                        yield Begun()
                    for event in streams.add(told):
                        if isinstance(event, TextPiece | ReasoningPiece | ToolCallPiece):
                            self._waiting.pop(key, None)
                        yield event
        except GroundwireError as error:
            raise await self._told_of(request, error, server, served) from None
        finally:
            self._waiting.pop(key, None)
        yield streams.end()

    async def count_tokens(
        self, content: str | Sequence[Message], template: TemplateInput = NOTHING_BESIDES
    ) -> int:
        """Count by the server's tokenizer: exact with vLLM, while it is in reach.

        The API itself counts nothing: with other servers, or none, this is an estimate.
        """
        server = self._started()
        is_out_of_reach = self._clock() < self._estimated_until
        if self._served is None or not self._served.dialect.tokenize or is_out_of_reach:
            return estimated_tokens(content, template.tools)
        try:
            return await self._counted(content, template, server, self._served, whole=False)
        except (UnavailableError, ResourceExhaustedError):
            self._estimated_until = self._clock() + _ESTIMATED_S
            return estimated_tokens(content, template.tools)

    async def check(self) -> None:
        """Ask the server for its model, which takes no model. Raises what a request would."""
        server = self._started()
        if self._clock() < self._works_until:
            return
        served = await self._learn(server)
        if served.dialect.health:
            await server.get_root(served.dialect.health)
        self._works_until = self._clock() + self._check_period_s

    async def close(self) -> None:
        """Close every connection, ending what still runs. Idempotent."""
        if self._server is not None:
            await self._server.close()

    def _started(self) -> OpenAiServer:
        if self._server is None:
            raise UnavailableError(f'"{self._name}" has not been started', reason="STARTING")
        return self._server

    async def _learn(self, server: OpenAiServer) -> ServedModel:
        from groundwire_server.engines.openai_models import served_model

        self._served = await served_model(server, self._source, self._dialect)
        return self._served

    async def _told_of(
        self,
        request: EngineRequest,
        error: GroundwireError,
        server: OpenAiServer,
        served: ServedModel,
    ) -> GroundwireError:
        """What is said of a failure: that of a form is the request's, and none of the model."""
        constraint = request.constraint
        failed = isinstance(error, BrokenError) and error.status == _FAILED
        if constraint is None or not failed or not served.dialect.health:
            return as_of_form(error, constraint)
        try:
            await server.get_root(served.dialect.health)
        except GroundwireError:
            return error
        return failed_at(constraint, error)

    async def _measured(
        self, request: EngineRequest, server: OpenAiServer, served: ServedModel
    ) -> tuple[int, int]:
        """Tokens of the prompt, about, and those that the answer may have.

        The prompt is counted only where it may not leave room for as many as are wanted.
        """
        content = request.messages if request.prompt is None else request.prompt
        wanted = request.sampling.max_tokens or self._max_tokens_default
        context = self.context_length
        template = request.template
        size = bytes_of(content) + tool_bytes(template.tools)
        fits = size + _TEMPLATE_TOKENS + wanted <= context
        if fits or not context or not served.dialect.tokenize:
            return estimated_tokens(content, template.tools), wanted
        length = await self._counted(content, template, server, served, whole=True)
        if length >= context:
            raise prompt_too_long(self._name, length, context)
        return length, min(wanted, context - length)

    async def _counted(
        self,
        content: str | Sequence[Message],
        template: TemplateInput,
        server: OpenAiServer,
        served: ServedModel,
        *,
        whole: bool,
    ) -> int:
        """``whole`` counts what is put around a text that is a prompt."""
        special = {"add_special_tokens": whole} if isinstance(content, str) else {}
        prompt = prompt_of(content, template.over(self._template_arguments))
        question = {"model": self._source, **prompt, **special}
        answer = await server.post_root(served.dialect.tokenize, question)
        count = answer.get("count") if isinstance(answer, dict) else None
        if not isinstance(count, int):
            raise UnavailableError(
                f"{self._url}: {served.dialect.tokenize} answered without a count of tokens",
                reason="REMOTE_PROTOCOL",
            )
        return count


def require_installed(setting: str = "openai_url") -> None:
    """Raise FailedPreconditionError, with what to install, if a library is missing."""
    if find_spec("aiohttp") is None or find_spec("tenacity") is None:
        raise FailedPreconditionError(
            f"{setting} needs aiohttp and tenacity: pip install 'groundwire[openai]'",
            reason="OPENAI_CLIENT_MISSING",
        )
