"""Fail when the newest wheel in a folder lacks something that `im2dem demo` needs."""

import sys
import zipfile
from pathlib import Path

WANTED = (
    "im2dem/weights/relief-free/model.onnx",
    "im2dem/weights/relief-free/card.json",
    "im2dem/web/serve/static/index.html",
    "im2dem/weights/relief-research/model.onnx",
    "im2dem/weights/relief-research/card.json",
    "im2dem/pipeline/demo_scene/tsukuba.tif",
    "im2dem/web/static/viewer.js",
    "im2dem/py.typed",
)

wheel = max(Path(sys.argv[1]).glob("im2dem-*.whl"), key=lambda path: path.stat().st_mtime)
names = set(zipfile.ZipFile(wheel).namelist())
missing = [name for name in WANTED if name not in names]
if missing:
    sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
sys.stdout.write(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {len(names)} files, nothing missing\n")
