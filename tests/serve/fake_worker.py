"""A job's process for tests: speaks as the real one does, and does what its picture is called."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def tell(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def lifeline():
    while os.read(0, 1024):
        pass
    os._exit(7)


def finish():
    for name in ("dem.tif", "dem.tif.json", "page.html", "preview.webp"):
        Path(name).write_text(f"this is {name}")
    tell(stage="page", done=1, total=1)
    result = {"heights": "made up", "unit": "m", "model": "none", "tiles": 4, "sun_from": "unknown"}
    tell(result={**result, "sun_azimuth_deg": None, "sun_elevation_deg": None})


def main():
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    threading.Thread(target=lifeline, daemon=True).start()
    os.chdir(order["folder"])
    Path("pid").write_text(str(os.getpid()))
    with open("order.json", "a") as file:
        file.write(json.dumps(order) + "\n")
    what = order["name"].partition(".")[0]
    header = {
        "width": 8,
        "height": 6,
        "bands": 3,
        "dtype": "uint8",
        "format": "PNG",
        "gsd_m": None,
        "georeferenced": False,
    }
    tell(stage="check", done=0, total=1)
    tell(picture=header)
    for done in range(1, 5):
        tell(stage="predict", done=done, total=4)
    if what == "slow" or (what == "slow-first" and not Path("seen").exists()):
        Path("seen").touch()
        time.sleep(600)
    elif what == "family":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path("child").write_text(str(child.pid))
        time.sleep(600)
    elif what == "abort":
        os.abort()
    elif what == "killed" or (what == "killed-once" and not Path("seen").exists()):
        Path("seen").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "silent":
        return
    elif what == "failing":
        Path("dem.tif.part").mkdir()
        tell(failure={"code": "input", "message": "failing.png: is no picture"})
        return
    elif what == "babbling":
        sys.stdout.write("not json\n[1, 2]\n" + "x" * 400_000 + "\n")
        sys.stderr.write("y" * 1_000_000)
        tell(stage="no such stage", done=1, total=1)
        for number in range(50):
            tell(note=f"note {number}")
    finish()


if __name__ == "__main__":
    main()
