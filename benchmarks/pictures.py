"""How long pictures and the report take, and how large they are: python benchmarks/pictures.py.

The architecture of the five models at full size, each by its own command; then the report of a
whole run of the cnn, built ten times.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from PIL import Image
from report import report, run_stage, seconds, table

from modelbench.measurement.graph.dot import FONT_SIZE
from modelbench.measurement.graph.picture import LEGIBLE, PIXELS, SCREEN
from modelbench.sinks.report.html import job_page

MODELS = ("cnn", "unet", "gpt2", "clip", "stable_diffusion")
PICTURE_S, REPORT_S, REPORT_MB = 15.0, 3.0, 5.0


def main() -> None:
    """Draw, measure, tell."""
    times, rows, kept = {}, [], True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in MODELS:
            words = [f"model={model}", "test=visualization", "test.visualization.autograd=false"]
            times[f"{model}, the stage"] = [float(run_stage(words, folder)["seconds"])]
        for file in sorted(folder.rglob("model_graph_*.png")):
            with Image.open(file) as image:
                pixels = max(image.size)
            root = ET.parse(file.with_suffix(".svg")).getroot()
            points = max(float(root.attrib[s].removesuffix("pt")) for s in ("width", "height"))
            text = FONT_SIZE * SCREEN / points
            kept &= pixels <= PIXELS and text >= LEGIBLE
            rows.append((file.stem.removeprefix("model_graph_"), pixels, f"{text:.1f}"))
        command = [sys.executable, "-m", "modelbench", "tracker=none", "hydra.run.dir=whole"]
        subprocess.run(command, cwd=folder, check=True)
        whole = folder / "whole"
        told = json.loads((whole / "results.json").read_text(encoding="utf-8"))
        times["report of the cnn's whole run"] = seconds(lambda: job_page(told, whole), 10)
        megabytes = (whole / "report.html").stat().st_size / 1e6
    table("pictures", ("class", "PNG, pixels", "text when seen whole, pixels"), rows)
    pictures = max(samples[0] for samples in list(times.values())[:-1])
    goals = {
        "longest picture, s": (pictures, PICTURE_S),
        "report, s": (max(list(times.values())[-1]), REPORT_S),
        "report, MB": (megabytes, REPORT_MB),
    }
    sys.exit(not (report("pictures and report", times, goals) and kept))


if __name__ == "__main__":
    main()
