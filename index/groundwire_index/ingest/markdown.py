"""Markdown (CommonMark with tables) to blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from groundwire_index.ingest import html
from groundwire_index.ingest.encoding import decode_text
from groundwire_index.ingest.limits import ParseLimits
from groundwire_index.ingest.text_builder import TextBuilder

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ["read"]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,10000}?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*(['\"]?)(.+?)\1[ \t]*$", re.MULTILINE | re.IGNORECASE)
# Time grows with the square of the brackets in one block, so a longer one is read as it stands.
_LONGEST_INLINE = 10_000
_MARKUP = re.compile(r"[\\`*_\[\]<&]| \n")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def read(data: bytes, out: TextBuilder, limits: ParseLimits) -> str:
    """Add the blocks of a text and return the title in its front matter, or ""."""
    del limits  # The builder bounds the text.
    text = decode_text(data).replace("\r\n", "\n")
    front = _FRONT_MATTER.match(text)
    title = _TITLE.search(front[1]) if front else None
    parser, references = _block_parser(), dict[str, Any]()
    reader = _BlockReader(out, lambda markup: _plain(_inline(parser, markup, references)))
    for token in parser.parse(text[front.end() if front else 0 :], references):
        reader.take(token)
    return title[2] if title else ""


def _block_parser() -> MarkdownIt:
    """A parser that leaves the words inside a block as they are."""
    from markdown_it import MarkdownIt

    # What is nested deeper is dropped, so far from any text that was written for people; each
    # level costs four frames of the stack.
    return MarkdownIt("commonmark", {"maxNesting": 100}).enable("table").disable("inline")


def _inline(parser: MarkdownIt, markup: str, references: dict[str, Any]) -> list[Token]:
    from markdown_it.token import Token

    if len(markup) > _LONGEST_INLINE or not _MARKUP.search(markup):
        return [Token("text", "", 0, content=markup.replace("\n", " "))]
    tokens: list[Token] = []
    parser.inline.parse(markup, parser, references, tokens)
    return tokens


class _BlockReader:
    """Takes the tokens of a text in order."""

    def __init__(self, out: TextBuilder, plain: Callable[[str], str]) -> None:
        self._out = out
        self._plain = plain
        self._heading = 0
        self._marker = ""
        self._ordered: list[bool] = []
        self._row: list[str] | None = None

    def take(self, token: Token) -> None:
        if token.type in ("fence", "code_block"):
            self._out.code(token.content)
        elif token.type == "html_block":
            html.read_fragment(token.content, self._out)
        elif token.type == "inline":
            self._take_text(self._plain(token.content))
        else:
            self._take_mark(token)

    def _take_mark(self, token: Token) -> None:
        match token.type:
            case "heading_open":
                self._heading = int(token.tag[1:])
            case "heading_close":
                self._heading = 0
            case "bullet_list_open" | "ordered_list_open":
                self._ordered.append(token.type == "ordered_list_open")
            case "bullet_list_close" | "ordered_list_close":
                self._ordered.pop()
            case "list_item_open":
                self._marker = f"{token.info}. " if self._ordered[-1] else "- "
            case "list_item_close":
                self._marker = ""
            case "tr_open":
                self._row = []
            case "tr_close":
                self._out.row(self._row or [])
                self._row = None

    def _take_text(self, text: str) -> None:
        if self._row is not None:
            self._row.append(text)
        elif self._heading:
            self._out.heading(text, self._heading)
        elif self._marker:
            self._out.item(text, self._marker)
            self._marker = ""
        else:
            self._out.paragraph(text)


def _plain(tokens: list[Token]) -> str:
    """The words of a piece of inline markup, without the markup."""
    return "".join(map(_words, tokens))


def _words(token: Token) -> str:
    match token.type:
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case "html_inline":
            return "\n" if _LINE_BREAK.fullmatch(token.content) else ""
        case "image":
            return _plain(token.children or [])
    return token.content
