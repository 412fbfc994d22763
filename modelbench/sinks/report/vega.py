"""Charts in the language of Vega-Lite, in files and in pages that need nothing else."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SCALE = 2
"""Of pixels in a PNG."""
TIMEOUT_S = 300.0
_PROGRAM = """
import json, sys, vl_convert
if sys.argv[1:]:
    for place, spec in json.load(sys.stdin).items():
        svg = vl_convert.vegalite_to_svg(spec)
        with open(place + ".svg", "w", encoding="utf-8") as file:
            file.write(svg)
        with open(place + ".png", "wb") as file:
            file.write(vl_convert.svg_to_png(svg, scale=int(sys.argv[1])))
else:
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    sys.stdout.buffer.write(bundle.encode())
"""


def drawn(specs: Mapping[str, Mapping[str, Any]], folder: Path) -> list[str]:
    """Write each chart by its name as PNG and SVG; return the files."""
    if not specs:
        return []
    for name in specs:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    places = {str(folder / name): spec for name, spec in specs.items()}
    _vega(json.dumps(places), str(SCALE))
    return [f"{name}.{kind}" for name in specs for kind in ("png", "svg")]


def _vega(given: str, *words: str) -> bytes:
    """Run Vega-Lite in a process of its own: its engine changes how a process has its memory.

    Raises RuntimeError with what it said last.
    """
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words], input=given.encode(), capture_output=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"the charts could not be drawn: {said[-1] if said else 'it ended'}")
    return ended.stdout


def safe(spec: Mapping[str, Any]) -> str:
    """Write JSON in which nothing ends a script."""
    text = json.dumps(spec, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


@lru_cache(maxsize=2)
def libraries(*, charts: bool) -> dict[str, str]:
    """Return what a page needs of Vega-Lite and DataTables, packed."""
    found = find_spec("itables")  # the files alone: importing it takes what a notebook needs
    assert found is not None and found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "html"
    texts = {
        "datatables": (folder / "dt_bundle.js").read_text(encoding="utf-8"),
        "datatables-style": (folder / "dt_bundle.css").read_text(encoding="utf-8"),
    }
    if charts:
        texts["vega"] = _vega("").decode()
    return {
        name: base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
        for name, text in texts.items()
    }
