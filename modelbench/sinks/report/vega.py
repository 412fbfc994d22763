"""Charts in the language of Vega-Lite, in files and in pages that need nothing else."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SCALE = 2
"""Of pixels in a PNG."""


def drawn(name: str, spec: Mapping[str, Any], folder: Path) -> list[str]:
    """Write a chart as PNG and SVG; return the files."""
    import vl_convert

    files = [f"{name}.png", f"{name}.svg"]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    svg = vl_convert.vegalite_to_svg(dict(spec))
    (folder / files[0]).write_bytes(vl_convert.svg_to_png(svg, scale=SCALE))
    (folder / files[1]).write_text(svg, encoding="utf-8")
    return files


def safe(spec: Mapping[str, Any]) -> str:
    """Write JSON in which nothing ends a script."""
    text = json.dumps(spec, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


@lru_cache(maxsize=2)
def libraries(*, charts: bool) -> dict[str, str]:
    """Return what a page needs of Vega-Lite and DataTables, packed."""
    import vl_convert

    found = find_spec("itables")  # the files alone: importing it takes what a notebook needs
    assert found is not None and found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "html"
    texts = {
        "datatables": (folder / "dt_bundle.js").read_text(encoding="utf-8"),
        "datatables-style": (folder / "dt_bundle.css").read_text(encoding="utf-8"),
    }
    if charts:
        texts["vega"] = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    return {
        name: base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
        for name, text in texts.items()
    }
