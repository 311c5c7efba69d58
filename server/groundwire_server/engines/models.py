"""The models that requests may name, and the routes: names that several models answer to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from groundwire_index.errors import NotFoundError

from groundwire_server.engines.served_model import ServedModel

_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A name that several models answer to."""

    name: str
    weights: Mapping[str, float]
    """Models, and the share of sessions and subjects that each one answers."""
    fallbacks: tuple[str, ...] = ()
    """Models that answer where none of those can, in order."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The models that one request may be given to, in the order in which they are tried."""

    asked_for: tuple[ServedModel, ...]
    """Those that the name of the request stands for; the chosen one first. Never empty."""
    fallbacks: tuple[ServedModel, ...] = ()
    """Those that answer in their place."""

    @property
    def first(self) -> ServedModel:
        """The one that is tried first."""
        return self.asked_for[0]

    def __iter__(self) -> Iterator[ServedModel]:
        yield from self.asked_for
        yield from self.fallbacks


@dataclass(frozen=True, slots=True)
class Route:
    """A name that requests use: of one model, or of several."""

    name: str
    weights: Mapping[ServedModel, float]
    """Never empty."""
    fallbacks: tuple[ServedModel, ...] = ()
    last_resort: ServedModel | None = None
    """Answers only some requests."""

    @property
    def answering(self) -> tuple[ServedModel, ...]:
        """The models that answer whatever is asked: not the last resort."""
        return (*self.weights, *self.fallbacks)

    @property
    def heaviest(self) -> ServedModel:
        """The model that answers most."""
        return max(self.weights, key=self.weights.__getitem__)

    def candidates(self, key: str) -> Candidates:
        """The same chosen one for the same key, and by the weights for all keys together.

        A change of weights moves only as many keys to another model as it has to.
        """
        chosen = self._chosen(key)
        others = [model for model in self.weights if model is not chosen]
        others.sort(key=self.weights.__getitem__, reverse=True)
        last = () if self.last_resort is None else (self.last_resort,)
        # Each once, where it comes first.
        rest = dict.fromkeys((*self.fallbacks, *last))
        return Candidates(
            (chosen, *others), tuple(model for model in rest if model not in self.weights)
        )

    def _chosen(self, key: str) -> ServedModel:
        if len(self.weights) == 1:
            return self.heaviest
        digest = hashlib.blake2b(f"{self.name}\0{key}".encode(), digest_size=_HASH_BYTES).digest()
        point = int.from_bytes(digest) / 2 ** (8 * _HASH_BYTES) * sum(self.weights.values())
        for model, weight in self.weights.items():
            point -= weight
            if point < 0:
                return model
        return self.heaviest


class Models:
    """Models, their adapters, and routes by the names that requests use, one of them the default.

    Iterated over, it gives the models.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        default: str,
        routes: Sequence[RouteSpec] = (),
        last_resort: ServedModel | None = None,
    ) -> None:
        """Take the models, in the order they are listed.

        ``default`` names a model or a route. ``last_resort`` is tried after everything else.
        Raises ValueError if a name is taken twice, NotFoundError for a name that is not there.
        """
        self._models = tuple(models)
        self.adapted = tuple(
            model.with_adapter(name) for model in models for name in model.adapters
        )
        """The models under the names of their adapters."""
        every = [*models, *self.adapted]
        self._named = {model.model: model for model in every}
        self._last_resort = last_resort
        self._routes = {
            name: Route(name, {model: 1.0}, last_resort=last_resort)
            for name, model in self._named.items()
        }
        names = [*(model.model for model in every), *(route.name for route in routes)]
        if len(set(names)) != len(names):
            raise ValueError("two models, adapters or routes have the same name")
        self._routes |= {spec.name: self._route_of(spec) for spec in routes}
        self.routes = tuple(self._routes[spec.name] for spec in routes)
        """Those that are more than the name of a model."""
        self._default = self.route(default)

    @property
    def default(self) -> Route:
        """That of requests that name no model."""
        return self._default

    def route(self, name: str) -> Route:
        """The route of a name, the default one for "".

        Raises NotFoundError, which lists the names that there are.
        """
        if not name:
            return self._default
        if route := self._routes.get(name):
            return route
        raise _unknown(name, self._routes)

    def get(self, name: str) -> ServedModel:
        """The model of a name; of a route the one that answers most. "" is the default.

        Raises NotFoundError, which lists the names that there are.
        """
        return self.route(name).heaviest

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def _route_of(self, spec: RouteSpec) -> Route:
        weights = {self._model(name): weight for name, weight in spec.weights.items()}
        fallbacks = tuple(map(self._model, spec.fallbacks))
        return Route(spec.name, weights, fallbacks, self._last_resort)

    def _model(self, name: str) -> ServedModel:
        if model := self._named.get(name):
            return model
        raise _unknown(name, self._named)


def _unknown(name: str, names: Mapping[str, object]) -> NotFoundError:
    known = ", ".join(f'"{one}"' for one in names)
    return NotFoundError(
        f'no model "{name}" is served here; there are: {known}',
        reason="MODEL_NOT_FOUND",
        metadata={"resource_type": "model", "resource_name": name},
    )
