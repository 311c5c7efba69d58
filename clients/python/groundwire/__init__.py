"""Client of Groundwire: typed calls, retries where they are safe, errors as exceptions.

>>> with groundwire.Client("localhost:50051") as client:
...     for event in client.generate("When does it open?", grounding="handbook"):
...         ...

`groundwire.v1` holds the generated stubs, for everything that is not wrapped here.
"""

from groundwire import errors
from groundwire.aio import AsyncGeneration
from groundwire.blocking import Generation
from groundwire.chat import (
    Choice,
    Constraint,
    Grammar,
    Grounding,
    JsonSchema,
    Message,
    NewMessage,
    Regex,
    Sampling,
    Tool,
    ToolCall,
)
from groundwire.client import AsyncClient, Client
from groundwire.errors import GroundwireError
from groundwire.filters import all_of, any_of, not_, where
from groundwire.requests.search import Like, ReciprocalRank, WeightedSum
from groundwire.results.collections import Collection, Fingerprint
from groundwire.results.completion import Completion
from groundwire.results.documents import Document, IngestProgress, IngestResult
from groundwire.results.embeddings import Embedding, Embeddings
from groundwire.results.events import (
    Citation,
    Event,
    Finished,
    Passage,
    ReasoningDelta,
    Sources,
    Started,
    TextDelta,
    ToolCallDelta,
)
from groundwire.results.memories import (
    ForgetReceipt,
    Memory,
    MemoryFilter,
    MemorySource,
    Recalled,
)
from groundwire.results.records import ChunkPosition, Hit, Record, SearchResult, Written
from groundwire.results.server import CacheStats, Model, ServerInfo
from groundwire.results.sessions import (
    Context,
    Session,
    SessionParent,
    SessionStats,
    Turn,
    TurnAnswer,
)
from groundwire.results.usage import UsageDay

__all__ = [
    "AsyncClient",
    "AsyncGeneration",
    "CacheStats",
    "Choice",
    "ChunkPosition",
    "Citation",
    "Client",
    "Collection",
    "Completion",
    "Constraint",
    "Context",
    "Document",
    "Embedding",
    "Embeddings",
    "Event",
    "Fingerprint",
    "Finished",
    "ForgetReceipt",
    "Generation",
    "Grammar",
    "Grounding",
    "GroundwireError",
    "Hit",
    "IngestProgress",
    "IngestResult",
    "JsonSchema",
    "Like",
    "Memory",
    "MemoryFilter",
    "MemorySource",
    "Message",
    "Model",
    "NewMessage",
    "Passage",
    "ReasoningDelta",
    "Recalled",
    "ReciprocalRank",
    "Record",
    "Regex",
    "RemovedSessions",
    "Sampling",
    "SearchResult",
    "ServerInfo",
    "Session",
    "SessionParent",
    "SessionStats",
    "Sources",
    "Started",
    "TextDelta",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "Turn",
    "TurnAnswer",
    "UsageDay",
    "WeightedSum",
    "Written",
    "all_of",
    "any_of",
    "errors",
    "not_",
    "where",
]
