"""Model cards, ONNX files, recipes, runs that are gone on with, and the notes of a mosaic."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

import drawing
from fakes import toy_card
from im2dem.core.errors import Im2DemError
from im2dem.core.grid import Grid, Window
from im2dem.pipeline.mosaic.block import RAW, Job, RawBlock, known
from im2dem.pipeline.mosaic.join import BLOCKS, ITEMS, Joining, Levelled, is_joined
from im2dem.pipeline.mosaic.scenes import Scene, Task
from im2dem.pipeline.mosaic.world import Block, World
from im2dem.pipeline.prediction import PredictOptions
from im2dem.runtime.card import ModelCard, file_sha256, find_model, load_card, save_card, verified_onnx
from im2dem.runtime.session import Condition, OnnxModel

from .door import Door, Drawn, beside, gathered, only

_SIDE = 64


def _cards(root: Path) -> Drawn:
    inputs = []
    for name, card in (("a", toy_card()), ("b", toy_card(sun_sector_deg=(90.0, 180.0), metrics={"x": {"y": 1.0}}))):
        folder = root / name
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"no net")
        save_card(replace(card, sha256=file_sha256(folder / "model.onnx")), folder / "card.json")
        inputs.append(folder)
    return gathered(*inputs)


def _card(folder: Path) -> None:
    path = find_model(folder)
    card = load_card(path)
    low, high = card.percentiles
    assert low <= high
    ModelCard.from_dict(json.loads(json.dumps(card.to_dict())))
    verified_onnx(card, path)


def _nets(root: Path) -> Drawn:
    import onnx

    h, t = onnx.helper, onnx.TensorProto
    image = h.make_tensor_value_info("image", t.FLOAT, ["n", 3, "h", "w"])
    condition = h.make_tensor_value_info("condition", t.FLOAT, [1, 8])
    relief = h.make_tensor_value_info("relief", t.FLOAT, ["n", 2, "h", "w"])
    rng = np.random.default_rng(0)
    weights = [
        h.make_tensor("w", t.FLOAT, [4, 3, 3, 3], rng.normal(size=108).astype(np.float32)),
        h.make_tensor("v", t.FLOAT, [2, 4, 1, 1], rng.normal(size=8).astype(np.float32)),
        h.make_tensor("condition", t.FLOAT, [1, 8], [0.0] * 8),
        h.make_tensor("all", t.INT64, [2], [0, 1]),
        h.make_tensor("shape", t.INT64, [4], [1, 1, 1, 1]),
    ]
    nodes = [
        h.make_node("Conv", ["image", "w"], ["a"], pads=[1, 1, 1, 1]),
        h.make_node("Relu", ["a"], ["b"]),
        h.make_node("ReduceSum", ["condition", "all"], ["s"], keepdims=1),
        h.make_node("Reshape", ["s", "shape"], ["r"]),
        h.make_node("Add", ["b", "r"], ["c"]),
        h.make_node("Conv", ["c", "v"], ["relief"]),
    ]
    graph = h.make_graph(nodes, "drawn", [image, condition], [relief], weights)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    return [{"model.onnx": model.SerializeToString()}]


def _net(folder: Path) -> None:
    """A card that fits, so that the file itself is opened: damage that the card's hash shows never comes so far."""
    save_card(toy_card(sha256=file_sha256(folder / "model.onnx")), folder / "card.json")
    model = OnnxModel(folder / "card.json", condition=Condition(gsd_m=10.0), threads=1)
    heights = model(np.zeros((1, 3, _SIDE, _SIDE), np.float32))
    assert heights.shape == (1, 2, _SIDE, _SIDE)


def _recipes(root: Path) -> Drawn:
    for path in sorted((Path(__file__).parents[2] / "recipes").glob("*.toml")):
        (root / path.name).write_bytes(path.read_bytes())
    return beside(root)


def _recipe(folder: Path) -> None:
    from im2dem.train.recipe import complete, read_table

    complete(read_table(only(folder, ".toml")))


def _small_recipe() -> dict[str, object]:
    return {"steps": 4, "batch": 2, "crop_px": 64, "bf16": False, "network": {"widths": [2, 3, 4], "embedding": 4}}


def _runs(root: Path) -> Drawn:
    import torch

    from im2dem.train.journal import CHECKPOINT, DATA, RECIPE, save_checkpoint
    from im2dem.train.loop import Run
    from im2dem.train.recipe import recipe_from_dict

    run = Run(recipe_from_dict(_small_recipe()), torch.device("cpu"))
    folder = root / "run"
    folder.mkdir()
    save_checkpoint(folder / CHECKPOINT, run.state())
    (folder / RECIPE).write_text(json.dumps(run.recipe.to_dict(), indent=1))
    (folder / DATA).write_text(json.dumps(["/nowhere/pack.npz"]))
    (folder / "log.csv").write_text("step,loss\n2,0.5\n4,0.25\n")
    return gathered(folder)


def _run(folder: Path) -> None:
    import torch

    from im2dem.train.journal import CHECKPOINT, Journal, read_run
    from im2dem.train.loop import load_run
    from im2dem.train.recipe import complete, recipe_from_dict

    failures = []
    for deed in (
        lambda: complete(read_run(folder)[0]),
        lambda: Journal(folder, recipe_from_dict(_small_recipe()).to_dict()).go_on_from(2),
        lambda: load_run(folder / CHECKPOINT, torch.device("cpu")),
    ):
        try:
            deed()
        except Im2DemError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _mosaic_job(folder: Path) -> tuple[Job, Task, RawBlock]:
    grid = Grid((64, 64), drawing.UTM_TRANSFORM, drawing.UTM)
    job = Job(str(folder), World.of(grid, "scene", 64, 16), PredictOptions(), "{}")
    block = Block(1, 2)
    task = Task(block, (Scene("a.tif", Window(0, 0, 64, 64), "f", None, "2021-07-14T00:00:00Z"),))
    return job, task, RawBlock(block, job.fingerprint(task), 4096, 512.5, "2021-07-14T00:00:00Z")


def _mosaics(root: Path) -> Drawn:
    folder = root / "mosaic"
    job, task, raw = _mosaic_job(folder)
    for name in (RAW, BLOCKS, ITEMS):
        (folder / name).mkdir(parents=True)
    told = {"fingerprint": raw.fingerprint, "valid": raw.valid, "mean": raw.mean, "seen": raw.seen, "block": [1, 2]}
    job.raw(task.block).with_suffix(".json").write_text(json.dumps(told))
    job.raw(task.block).write_bytes(b"II*\0")
    work = Joining(Levelled(raw, 1.0, 0.0), ())
    item = {"type": "Feature", "properties": {"im2dem:fingerprint": work.fingerprint(job)}}
    (folder / ITEMS / f"{task.block.name}.json").write_text(json.dumps(item))
    (folder / BLOCKS / f"{task.block.name}.tif").write_bytes(b"II*\0")
    return gathered(folder)


def _mosaic(folder: Path) -> None:
    job, task, raw = _mosaic_job(folder)
    found = known(job, task)
    if found is not None:
        assert isinstance(found.valid * found.mean, float)
        assert isinstance(found.seen, str)
    is_joined(job, Joining(Levelled(raw, 1.0, 0.0), ()))


DOORS = {
    "model cards": Door(_cards, _card),
    "nets": Door(_nets, _net, ("onnx",)),
    "recipes": Door(_recipes, _recipe, ("torch",)),
    "runs gone on with": Door(_runs, _run, ("torch", "accelerate")),
    "mosaics gone on with": Door(_mosaics, _mosaic),
}
