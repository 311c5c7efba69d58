"""The models that settings describe, wired together; a part of the composition root."""

from __future__ import annotations

from functools import partial

from groundwire_server.embedders.embedder import Embedder
from groundwire_server.engines.breaker import Breaker
from groundwire_server.engines.engine import Engine
from groundwire_server.engines.extractive import ExtractiveEngine
from groundwire_server.engines.fair_queue import Limits
from groundwire_server.engines.models import Models, RouteSpec
from groundwire_server.engines.openai import OpenAiEngine
from groundwire_server.engines.presets import PRESETS
from groundwire_server.engines.revision import Revision
from groundwire_server.engines.served_model import ServedModel, Targets
from groundwire_server.engines.supervised import SupervisedEngine
from groundwire_server.engines.vllm import VllmEngine
from groundwire_server.model_settings import ModelSettings
from groundwire_server.settings import Settings


def served_models(settings: Settings, embedder: Embedder) -> Models:
    """Every model there is. The last is the default, unless a setting names another."""
    extractive = ServedModel(ExtractiveEngine(embedder))
    models = [
        extractive,
        *(_served(name, model, settings) for name, model in settings.all_models.items()),
    ]
    return Models(
        models,
        routes=[
            RouteSpec(name, route.weights, route.fallbacks)
            for name, route in settings.routes.items()
        ],
        default=settings.default_model or models[-1].model,
        last_resort=extractive if settings.last_resort == "extractive" else None,
    )


def _served(name: str, model: ModelSettings, settings: Settings) -> ServedModel:
    limits = Limits(
        model.running_generations or settings.running_generations,
        settings.queued_generations
        if model.queued_generations is None
        else model.queued_generations,
        model.queued_tokens or settings.queued_tokens,
    )
    breaker = Breaker(name, failures=settings.breaker_failures, open_s=settings.breaker_open_s)
    revision = _revision(model)
    if model.engine == "vllm":
        engine = _vllm(name, model, settings, revision)
    else:
        engine = _openai(name, model, settings)
    return ServedModel(engine, limits, breaker=breaker, targets=_targets(model), revision=revision)


def _vllm(name: str, model: ModelSettings, settings: Settings, revision: Revision) -> Engine:
    preset = PRESETS.get(model.preset)
    defaults = {}
    if preset is not None:
        defaults = {
            "max_model_len": preset.context_length,
            "gpu_memory_utilization": preset.gpu_memory,
        }
    return SupervisedEngine(
        partial(
            VllmEngine,
            model.source or (preset.source if preset else ""),
            name=name,
            args={**defaults, **model.args},
            gpus=model.gpus,
            tool_parser=model.tool_parser or (preset.tool_parser if preset else ""),
            reasoning_parser=model.reasoning_parser,
            adapters=model.adapters,
            template_arguments=model.template_arguments,
            max_tokens_default=settings.max_tokens,
        ),
        starting=revision.starting,
    )


def _openai(name: str, model: ModelSettings, settings: Settings) -> Engine:
    return OpenAiEngine(
        model.url,
        model.source,
        name=name,
        api_key=model.api_key,
        dialect=model.dialect,
        context_length=model.context_length,
        template_arguments=model.template_arguments,
        max_tokens_default=settings.max_tokens,
        silence_s=model.silence_s,
        check_period_s=model.check_period_s,
    )


def _revision(model: ModelSettings) -> Revision:
    sources = dict(model.adapters)
    if model.engine == "vllm":
        sources[""] = model.source or PRESETS[model.preset].source
    return Revision(model.model_dump(exclude={"api_key"}), sources)


def _targets(model: ModelSettings) -> Targets:
    preset = PRESETS[model.preset].targets if model.preset else Targets()
    return Targets(
        latency_s=model.latency_target_s or preset.latency_s,
        throughput=model.throughput_target or preset.throughput,
    )
