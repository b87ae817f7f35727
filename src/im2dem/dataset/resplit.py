"""Divide a training set that is there anew: other shares, cells, buffer or seed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from im2dem.io.atomic import write_text

from .cells import SplitPlan
from .store import Store


def resplit(root: str | Path, plan: SplitPlan) -> dict[str, int]:
    """Give every chip of a set its split under another plan.

    Parameters
    ----------
    root
        Folder of the set.
    plan
        New cells, buffer, shares, seed.

    Returns
    -------
    Chips by split.

    Raises
    ------
    InputError
        Not a training set.
    OutputError
        Not writable.
    """
    store = Store(root)
    manifest = store.manifest()
    counts: dict[str, int] = {}
    for meta in store.metas():
        west, south, east, north = (float(v) for v in meta["box"])
        cell = plan.cell_of((west + east) / 2, (south + north) / 2)
        meta["split"], meta["cell"] = plan.split_of((west, south, east, north)), f"{cell[0]},{cell[1]}"
        counts[meta["split"]] = counts.get(meta["split"], 0) + 1
        text = json.dumps(meta, indent=1, allow_nan=False) + "\n"
        write_text(store.pairs / meta["name"] / "meta.json", text, overwrite=True)
    manifest["split"] = json.loads(json.dumps(asdict(plan)))
    if isinstance(manifest.get("request"), dict):
        manifest["request"]["split"] = manifest["split"]
    manifest["splits"] = dict(sorted(counts.items()))
    store.write_manifest(manifest)
    store.write_index()
    return counts
