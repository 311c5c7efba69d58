"""GPUs that hold and search indexes, and what happens where there are none.

The CPU can answer everything: a GPU only ever answers sooner (`gpus`, `running`, `ann`). One thread
talks to each (`owner`), and all that is FAISS's is in `faiss_device`.
"""

from groundwire_index.gpu.gpus import Gpus, NoGpus
from groundwire_index.gpu.running import open_gpus

__all__ = ["Gpus", "NoGpus", "open_gpus"]
