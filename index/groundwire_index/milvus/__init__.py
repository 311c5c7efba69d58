"""An index whose records are kept in Milvus, for collections that outgrow one machine.

What it keeps of `groundwire_index.backend`, and what it refuses, is in docs/milvus.md.
"""

from groundwire_index.milvus.index import MilvusIndex

__all__ = ["MilvusIndex"]
