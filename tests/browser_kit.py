"""How the browser is found and started, and a page in it with everything that went wrong."""

from __future__ import annotations

import io
import os
import shutil

import numpy as np
from PIL import Image

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NO_WEBGL = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-3d-apis", *FLAGS[5:])
# Without the swing after a drag each view comes to rest two seconds earlier; a test that is about it asks for it.
CONTEXT = {"viewport": {"width": 720, "height": 520}, "reduced_motion": "reduce"}
HOLE = (slice(60, 90), slice(70, 110))


def chromium():
    """Path of a Chromium, or None."""
    named = os.environ.get("IM2DEM_CHROMIUM")
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return named or next((path for path in found if path), None)


# What a test may have done to a page, undone: films, drawn lines, what is folded, the view, the state and the address.
AFRESH = """first => {
  const at = id => document.getElementById(id);
  document.activeElement.blur();
  at('help').close();
  for (const id of ['frame-clear', 'clear']) at(id).click();
  at('dressed').checked = true;
  document.querySelectorAll('details').forEach((part, k) => { part.open = first.open[k]; });
  window.im2dem.set(first.state);
  at('reset').click();
}"""


class Opened:
    """A page in the browser, and everything that went wrong or out of it."""

    def __init__(self, browser, path, fragment="", **context):
        self.troubles, self.requests = [], []
        self.context = browser.new_context(**{**CONTEXT, **context})
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + fragment)
        self.ask("window.im2dem.ready")
        self.first = self.ask(
            "({state: window.im2dem.state?.(), open: [...document.querySelectorAll('details')].map(d => d.open)})"
        )

    def afresh(self):
        """The page as it was when it opened: for a test that begins where another one ended."""
        self.page.mouse.move(1, 1)
        self.ask(AFRESH, self.first)
        self.rest()
        found = self.ask("window.im2dem.state()")
        if found != self.first["state"]:
            raise RuntimeError(f"the page is not as it was: {found} instead of {self.first['state']}")
        self.troubles.clear()
        self.requests.clear()
        return self

    def _console(self, message):
        # Chromium itself remarks on reading pixels back, which is what a screenshot does.
        if message.type in ("error", "warning") and "GL Driver Message" not in message.text:
            self.troubles.append(message.text)

    def ask(self, script, *values):
        return self.page.evaluate(script, *values)

    def rest(self):
        """Wait until the last movement has been drawn in full."""
        self.until("!window.im2dem.resting || window.im2dem.resting()")

    def until(self, condition, limit_s=20):
        """Wait until a condition holds; Playwright's own waiting needs eval, which the page's policy forbids."""
        self.ask(
            "async limit => { const end = Date.now() + limit;"
            f" while (!({condition})) {{ if (Date.now() > end) throw new Error('waited in vain');"
            " await new Promise(r => setTimeout(r, 25)); } }",
            limit_s * 1000,
        )

    def picture(self):
        """What the page shows after it came to rest: (row, col, 3) as floats."""
        self.rest()
        shot = self.page.screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(float)

    def outside(self):
        """Requests that left the page: neither the file itself nor data inside it."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]
