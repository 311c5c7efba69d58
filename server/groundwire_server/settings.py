"""Every knob of the server: typed, with the sentence that `groundwire settings` prints.

A value comes from the first of these that has one: a flag (``--data-dir``), the environment
(``GROUNDWIRE_DATA_DIR``), the TOML file named by ``--config`` or ``GROUNDWIRE_CONFIG``
(``data_dir = "..."``), the default. What each part of the server takes is in a file of its own.
"""

from __future__ import annotations

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from groundwire_server.embedding_settings import EmbeddingSettings
from groundwire_server.generation_settings import GenerationSettings
from groundwire_server.process_settings import ProcessSettings
from groundwire_server.store_settings import StoreSettings


# Their fields come in the order from the last of them to the first.
class Settings(StoreSettings, EmbeddingSettings, GenerationSettings, ProcessSettings, BaseSettings):
    """The server's settings. Made directly, it holds defaults and what it is given."""

    model_config = SettingsConfigDict(
        env_prefix="GROUNDWIRE_", extra="forbid", frozen=True, validate_default=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - these are named by the base class
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the environment to `settings_sources.load`, the one place that reads it."""
        return (init_settings,)
