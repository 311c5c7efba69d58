"""What a model's output is made of, by vLLM's parsers: reasoning, text, and calls of tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from groundwire_index.errors import FailedPreconditionError

from groundwire_server.engines.engine import (
    EngineRequest,
    ReasoningPiece,
    TextPiece,
    ToolCallPiece,
)
from groundwire_server.engines.forced_calls import ForcedCalls, new_call_id
from groundwire_server.engines.openai_messages import chat_message, tool_message
from groundwire_server.engines.vllm_prompt import template_arguments

Piece = TextPiece | ReasoningPiece | ToolCallPiece


class OutputParser(Protocol):
    """Reads the output of one choice."""

    def read(
        self, text: str, token_ids: Sequence[int], prompt_ids: Sequence[int], *, last: bool
    ) -> Iterator[Piece]:
        """The pieces in the next text, without their tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Parsing:
    """How the output of one request is read."""

    new_parser: Callable[[], OutputParser] | None = None
    """A parser for each choice; None where all of it is text."""
    skips_special_tokens: bool = True
    """Whether the text is without special tokens, which some parsers look for."""


class VllmParsers:
    """The parsers of one model; an empty name for none."""

    def __init__(self, tool_parser: str, reasoning_parser: str) -> None:
        self._tool_parser = tool_parser
        self._reasoning_parser = reasoning_parser
        self._tokenizer: Any = None
        self._model_config: Any = None
        self._for_tools: Any = None
        self._for_text: Any = None

    def require_known(self) -> None:
        """Raise FailedPreconditionError for a parser that vLLM does not have."""
        from vllm.reasoning import ReasoningParserManager
        from vllm.tool_parsers import ToolParserManager

        for setting, name, known in (
            ("vllm_tool_parser", self._tool_parser, ToolParserManager.list_registered()),
            (
                "vllm_reasoning_parser",
                self._reasoning_parser,
                ReasoningParserManager.list_registered(),
            ),
        ):
            if name and name not in known:
                raise FailedPreconditionError(
                    f'{setting}: vLLM has no parser "{name}"; it has {", ".join(known)}',
                    reason="VLLM_PARSER_UNKNOWN",
                )

    def start(self, vllm: Any) -> None:
        """Make them for a model. Raises FailedPreconditionError if they are not made for it."""
        self._tokenizer = vllm.renderer.tokenizer
        self._model_config = vllm.model_config
        if self._tool_parser:
            self._for_tools = self._parser_class(self._tool_parser)
        self._for_text = self._parser_class(None)

    def parsing(self, request: EngineRequest) -> Parsing:
        """How the output of a request is read.

        Raises FailedPreconditionError if the model may call tools and nothing can read its calls.
        """
        if request.prompt is not None:
            return Parsing()
        use = request.tools
        may_call = use is not None and not use.is_forced
        if may_call and self._for_tools is None:
            raise FailedPreconditionError(
                "tools: to read the calls of this model the server needs the setting "
                "vllm_tool_parser; without it, tool_choice must be TOOL_CHOICE_MODE_REQUIRED or "
                "the name of a tool",
                reason="NO_TOOL_PARSER",
            )
        parser_class = self._for_tools if may_call else self._for_text
        new_parser, skips = self._of_class(parser_class, request, offers_tools=may_call)
        if use is None or not use.is_forced:
            return Parsing(new_parser, skips)
        return Parsing(lambda: _Forced(ForcedCalls(use), new_parser and new_parser()), skips)

    @property
    def engine_arguments(self) -> dict[str, Any]:
        """Of vLLM: its engine core constrains what follows the reasoning, not the reasoning."""
        return {"reasoning_parser": self._reasoning_parser} if self._reasoning_parser else {}

    def generate_arguments(self, request: EngineRequest) -> dict[str, Any]:
        """Of `AsyncLLM.generate`: whether, and by which parser, reasoning goes first."""
        if not self._reasoning_parser:
            return {}
        if request.prompt is not None:
            return {"reasoning_ended": True}
        arguments = template_arguments(request.template_arguments)
        return {"reasoning_parser_kwargs": {"chat_template_kwargs": arguments}}

    def _parser_class(self, tool_parser: str | None) -> Any:
        from vllm.parser import ParserManager

        parsers = f"{self._tool_parser} {self._reasoning_parser}".strip()
        if parsers and self._model_config.hf_config.model_type == "gpt_oss":
            raise FailedPreconditionError(
                f"vllm_tool_parser, vllm_reasoning_parser: {parsers} cannot read gpt-oss, whose "
                "output has channels",
                reason="VLLM_PARSER_UNFIT",
            )
        try:
            return ParserManager.get_parser(
                tool_parser_name=tool_parser,
                reasoning_parser_name=self._reasoning_parser or None,
                enable_auto_tools=True,
                model_name=self._model_config.model,
                tokenizer=self._tokenizer,
            )
        except TypeError as error:
            raise FailedPreconditionError(
                f"vllm_tool_parser, vllm_reasoning_parser: {error}", reason="VLLM_PARSER_UNFIT"
            ) from error

    def _of_class(
        self, parser_class: Any, request: EngineRequest, *, offers_tools: bool
    ) -> tuple[Callable[[], OutputParser] | None, bool]:
        if parser_class is None:
            return None, True
        asked = _chat_request(request, offers_tools=offers_tools)

        def new_parser() -> Any:
            return parser_class(
                self._tokenizer,
                asked.tools,
                chat_template_kwargs=template_arguments(request.template_arguments),
                model_config=self._model_config,
            )

        # It may ask for a form of the output too, in words of another backend than ours.
        adjusted = new_parser().adjust_request(asked.model_copy())
        return lambda: _ByVllm(new_parser(), asked), bool(adjusted.skip_special_tokens)


class _ByVllm:
    """What vLLM's parser finds."""

    def __init__(self, parser: Any, request: Any) -> None:
        self._parser = parser
        self._request = request
        self._begun: set[int] = set()

    def read(
        self, text: str, token_ids: Sequence[int], prompt_ids: Sequence[int], *, last: bool
    ) -> Iterator[Piece]:
        found = self._parser.parse_delta(
            text, list(token_ids), self._request, prompt_ids, finished=last
        )
        if found is None:
            return
        if found.reasoning:
            yield ReasoningPiece(found.reasoning, 0)
        if found.content:
            yield TextPiece(found.content, 0)
        for call in found.tool_calls or ():
            function = call.function
            name = (function.name if function else "") or ""
            arguments = (function.arguments if function else "") or ""
            if call.index not in self._begun and name:
                self._begun.add(call.index)
                yield ToolCallPiece(call.index, call.id or new_call_id(), name, arguments, 0)
            elif arguments:
                yield ToolCallPiece(call.index, "", "", arguments, 0)


class _Forced:
    """Calls and nothing else, after the reasoning if there is a parser for it."""

    def __init__(self, calls: ForcedCalls, reasoning: OutputParser | None) -> None:
        self._calls = calls
        self._reasoning = reasoning

    def read(
        self, text: str, token_ids: Sequence[int], prompt_ids: Sequence[int], *, last: bool
    ) -> Iterator[Piece]:
        if self._reasoning is None:
            yield from self._calls.read(text) if text else ()
            return
        for piece in self._reasoning.read(text, token_ids, prompt_ids, last=last):
            if isinstance(piece, TextPiece):
                yield from self._calls.read(piece.text)
            else:
                yield piece


def _chat_request(request: EngineRequest, *, offers_tools: bool) -> Any:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    offered = {}
    if offers_tools and request.tools is not None:
        tools = [tool_message(tool) for tool in request.tools.tools]
        offered = {"tools": tools, "tool_choice": "auto"}
    return ChatCompletionRequest(
        messages=[chat_message(message) for message in request.messages], **offered
    )
