"""Runtimes side by side, and whether their figures hold: python benchmarks/runtimes.py [PART]...

`loops`: each runtime's median against a loop written by hand with that runtime alone.
`table`: the stage on several models, in single precision and INT8; `table=MODEL,MODEL` on some.
`recommend`: the U-Net's recommendation at 40 dB, held against all combinations tried to the end.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from report import run_stage
from rich.console import Console
from rich.table import Table

from modelbench.models.unet import UNet
from modelbench.runtimes.onnxruntime import OnnxRuntime
from modelbench.runtimes.openvino import OpenVino
from modelbench.runtimes.program import Program
from modelbench.runtimes.runtime import threads

LOW, HIGH, ROUNDS = 0.98, 1.02, 60
HUB = {
    "resnet50": "{_target_: transformers.ResNetForImageClassification, "
                "config: {_target_: transformers.ResNetConfig}}",
    "vit_b": "{_target_: transformers.ViTForImageClassification, "
             "config: {_target_: transformers.ViTConfig}}",
    "bert": "{_target_: transformers.BertModel, config: {_target_: transformers.BertConfig}}",
}  # fmt: skip
IMAGE = "{pixel_values: {_target_: modelbench.inputs.Image, channels: 3}}"
TEXT = "{input_ids: {_target_: modelbench.inputs.Tokens, vocab_size: 30522}}"
MODELS = {
    "cnn": ["model=cnn"],
    "unet": ["model=unet"],
    "gpt2, prefill of 128": ["model=gpt2"],
    "clip": ["model=clip"],
    "stable_diffusion, tiny": ["model=stable_diffusion", "model.variant=tiny",
                               "test.runtimes.phases=[denoise_step]"],
    "resnet50": ["model=resnet50"],
    "vit_b": ["model=vit_b"],
    "bert": ["model=bert"],
}  # fmt: skip
CHOSEN = ["compile", "onnxruntime", "openvino"]


def main() -> None:
    """Run the parts asked for, or all."""
    parts: dict[str, Callable[[], bool]] = {
        "loops": loops, "table": table, "recommend": recommend,
    }  # fmt: skip
    met = []
    for word in sys.argv[1:] or list(parts):
        part, _, some = word.partition("=")
        met.append(table(some.split(",")) if some else parts[part]())
    print("met" if all(met) else "MISSED")
    sys.exit(not all(met))


def loops() -> bool:
    """Hold what is bound against a session fed by hand, alternating."""
    import onnxruntime
    import openvino

    torch.manual_seed(0)
    model, image = UNet().eval(), torch.rand(1, 3, 128, 128)
    program, found = Program(model, model.forward, (image,), {}), Table("runtime", "ratio", "met")
    met = True
    with tempfile.TemporaryDirectory() as name:
        for runtime in (OnnxRuntime(), OpenVino()):
            built = runtime.build(program, program.inputs, Path(name) / type(runtime).__name__)
            bound, file = built.engine.bind(program.inputs), str(built.file)
            if isinstance(runtime, OnnxRuntime):
                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = threads()
                session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
                feed = {session.get_inputs()[0].name: image.numpy()}

                def by_hand(session: Any = session, feed: Any = feed) -> Any:
                    return session.run(None, feed)
            else:
                core = openvino.Core()
                settings = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False,
                            "INFERENCE_NUM_THREADS": threads()}  # fmt: skip
                read = core.read_model(file)
                read.reshape({0: list(image.shape)})
                request = core.compile_model(read, "CPU", settings).create_infer_request()
                array = image.numpy()

                def by_hand(session: Any = request, feed: Any = array) -> Any:
                    return session.infer([feed], share_inputs=True, share_outputs=True)

            pairs = []
            for _ in range(ROUNDS):
                times = []
                for call in (bound, by_hand, by_hand, bound):
                    start = perf_counter()
                    call()
                    times.append(perf_counter() - start)
                pairs.append((times[0] + times[3]) / (times[1] + times[2]))
            ratio = median(pairs)
            met &= LOW <= ratio <= HIGH
            found.add_row(type(runtime).__name__, f"{ratio:.3f}", str(LOW <= ratio <= HIGH))
    Console().print(found)
    return met


def table(some: Sequence[str] = ()) -> bool:
    """Run the stage on each model, or on some, in each precision."""
    found = Table("model", "precision", "eager, ms", *(f"{name}, times as fast" for name in CHOSEN))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model").mkdir()
        for model, build in HUB.items():
            text = model == "bert"
            axes = "{batch_size: 1, sequence_length: 128}" if text else (
                "{batch_size: 1, image_size: 224}"
            )  # fmt: skip
            (folder / "model" / f"{model}.yaml").write_text(
                f"name: {model}\nbuild: {build}\naxes: {axes}\ninputs: {TEXT if text else IMAGE}\n"
            )
        for model, words in MODELS.items():
            if some and model.partition(",")[0] not in some:
                continue
            for precision in ("fp32", "int8"):
                stage = run_stage(
                    ["--config-dir", str(folder), *words, "test=runtimes",
                     f"precision={precision}", f"test.runtimes.runtimes=[{','.join(CHOSEN)}]",
                     "test.runtimes.budget_s=3"], folder,
                )  # fmt: skip
                figures = {key: each["value"] for key, each in stage["metrics"].items()}
                eager = figures.get(f"runtimes/{CHOSEN[1]}/eager_p50_ms")
                cells = [
                    f"{figures[f'runtimes/{name}/speedup']:.2f}"
                    + (f", {figures[f'runtimes/{name}/sqnr_db']:.0f} dB"
                       if f"runtimes/{name}/sqnr_db" in figures else "")
                    if f"runtimes/{name}/speedup" in figures else "-"
                    for name in CHOSEN
                ]  # fmt: skip
                found.add_row(model, precision, f"{eager:.3g}" if eager else "-", *cells)
                print(stage["reason"] or "", flush=True)
    Console(width=110).print(found)
    return True


def recommend() -> bool:
    """Search as the stage does, and exhaustively; the latter takes a quarter of an hour."""
    words = ["model=unet", "image_size=128", "test=recommend", "test.recommend.min_sqnr_db=40"]
    speeds, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for more in ([], ["test.recommend.exhaustive=true"]):
            stage = run_stage([*words, *more], Path(folder))
            speeds.append(stage["metrics"]["recommend/speedup"]["value"])
            seconds.append(stage["metrics"]["recommend/search_s"]["value"])
            print(stage["details"]["chosen"]["label"], f"{speeds[-1]:.2f} times as fast,",
                  f"found in {seconds[-1]:.0f} s")  # fmt: skip
    return bool(speeds[0] >= 0.97 * speeds[1] and seconds[0] <= seconds[1] / 4)


if __name__ == "__main__":
    main()
