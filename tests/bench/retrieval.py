"""How well searches find: Cranfield, which people judged, where it is at hand.

The peers of hybrid search are its own two halves. Scale: Cleverdon's 1,400 abstracts of
aerodynamics, 225 questions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

DATASET = Path(__file__).parents[3] / "shared" / "data" / "cranfield"
BAR = 0.435


def main() -> int:
    if not DATASET.is_dir():
        print(f"left out: there is no {DATASET}")
        return 0
    command = [sys.executable, "-m", "groundwire_server", "eval", "retrieval", str(DATASET)]
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, check=True)
    quality = {one["mode"]: one for one in json.loads(done.stdout)["modes"]}
    for mode, one in quality.items():
        print(
            f"{mode}: nDCG@10 {one['ndcg_at_10']:.4f}, Recall@100 {one['recall_at_100']:.4f}, "
            f"MRR@10 {one['mrr_at_10']:.4f}, p50 {one['p50_s'] * 1000:.1f} ms, "
            f"p95 {one['p95_s'] * 1000:.1f} ms"
        )
    hybrid = quality["hybrid"]["ndcg_at_10"]
    best = max(quality[mode]["ndcg_at_10"] for mode in ("dense", "lexical"))
    print(f"hybrid against the better of its halves: ratio {hybrid / best:.2f} (bar: {BAR} in all)")
    return 0 if hybrid >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
