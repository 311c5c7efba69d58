"""What the paragraph styles and list definitions of a DOCX mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["ListLevel", "Numbering", "Style", "Styles", "local_name", "value"]

_HEADING_NAME = re.compile(r"heading ?([1-9])", re.IGNORECASE)


def local_name(tag: object) -> str:
    """The name of an element without its namespace; "" for comments."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def value(attributes: Any) -> str:
    """The ``w:val`` of an element, whichever of the two namespaces it is in."""
    return next((found for key, found in attributes.items() if local_name(key) == "val"), "")


@dataclass(frozen=True, slots=True)
class ListLevel:
    """A list by its number in the file, and how deep a paragraph stands in it, from 0."""

    list_id: str
    depth: int


@dataclass(frozen=True, slots=True)
class Style:
    """What a paragraph style says about a paragraph's part in the document."""

    name: str = ""
    based_on: str = ""
    outline: int | None = None
    """Level in the outline, from 1."""
    listed: ListLevel | None = None


class Styles:
    """Paragraph styles by id, each with what it inherits."""

    def __init__(self, root: Any) -> None:
        self._styles = {
            _attribute(element, "styleId"): _style(element) for element in _children(root, "style")
        }

    def __getitem__(self, style_id: str) -> Style:
        style = self._styles.get(style_id, Style(style_id))
        outline, listed = style.outline, style.listed
        ancestor, seen = style, {style_id}
        while (outline is None or listed is None) and ancestor.based_on not in seen:
            seen.add(ancestor.based_on)
            ancestor = self._styles.get(ancestor.based_on, Style())
            outline = outline if outline is not None else ancestor.outline
            listed = listed or ancestor.listed
        return Style(style.name, style.based_on, outline, listed)


class Numbering:
    """Counts the items of every list, as a word processor would."""

    def __init__(self, root: Any) -> None:
        formats = {
            _attribute(element, "abstractNumId"): _formats(element)
            for element in _children(root, "abstractNum")
        }
        self._formats = {
            _attribute(element, "numId"): formats.get(_child_value(element, "abstractNumId"), {})
            for element in _children(root, "num")
        }
        self._counts: dict[str, list[int]] = {}

    def marker(self, at: ListLevel) -> str:
        """The mark in front of the next item of a list: a dash, or its number."""
        if self._formats.get(at.list_id, {}).get(at.depth, "bullet") in ("bullet", "none"):
            return "- "
        counts = self._counts.setdefault(at.list_id, [])
        del counts[at.depth + 1 :]
        counts.extend([0] * (at.depth + 1 - len(counts)))
        counts[at.depth] += 1
        return f"{counts[at.depth]}. "


def _style(element: Any) -> Style:
    name = _child_value(element, "name")
    properties = next(_children(element, "pPr"), None)
    outline = _child_value(properties, "outlineLvl")
    heading = _HEADING_NAME.fullmatch(name)
    numbering = next(_children(properties, "numPr"), None)
    list_id = _child_value(numbering, "numId")
    return Style(
        name,
        _child_value(element, "basedOn"),
        int(heading[1]) if heading else int(outline) + 1 if outline in set("012345678") else None,
        ListLevel(list_id, depth(_child_value(numbering, "ilvl"))) if list_id else None,
    )


def depth(text: str) -> int:
    """The depth of a list level; Word knows nine."""
    return int(text) if text in set("012345678") else 0


def _formats(element: Any) -> dict[int, str]:
    return {
        depth(_attribute(level, "ilvl")): _child_value(level, "numFmt")
        for level in _children(element, "lvl")
    }


def _children(element: Any, name: str) -> Iterator[Any]:
    return (
        (child for child in element if local_name(child.tag) == name)
        if element is not None
        else iter(())
    )


def _child_value(element: Any, name: str) -> str:
    child = next(_children(element, name), None)
    return "" if child is None else value(child.attrib)


def _attribute(element: Any, name: str) -> str:
    return next((text for key, text in element.attrib.items() if local_name(key) == name), "")
