"""The paper's decoder at full size: seconds and memory of a 768x512 file, from end to end.

    python benchmarks/full_size.py --profile sd21-turbo --objects 0 1
    python benchmarks/full_size.py --steps 2                             (sd21: not its 20 and 50)
    python benchmarks/full_size.py --device cuda --objects 0 1 3

The networks have the published shapes of ``sd21`` and random weights: time does not depend on what
they are. The pictures mean nothing. Steps and guidance are the profile's. Writes full_size.json and
full_size.md, an entry for each device and profile; ``--batch`` adds the throughput of unguided
steps at that many pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.data import coffee

from sedic import Decoder, Encoder, Profile
from sedic.lab.bench.circumstances import commit, hardware
from sedic.models.clip_tokenizer import tokenizer_of
from sedic.models.convert import SCHEDULE
from sedic.models.diffusion import DiffusionNetworks, NoConditioning
from sedic.models.originals import network_class
from sedic.models.precision import placement
from sedic.semantics import Rate

HERE = Path(__file__).parent
WIDTH, HEIGHT = 768, 512
LATENT = 4
CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
DIFFUSION = {
    "in_channels": LATENT,
    "down_block_types": [CROSS, CROSS, CROSS, PLAIN],
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],  # diffusers' name for the number of heads
    "use_linear_projection": True,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "unet": {
        **DIFFUSION,
        "out_channels": LATENT,
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    },
    "controlnet": {**DIFFUSION, "in_channels": 2 * LATENT},
    "vae": {
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "latent_channels": LATENT,
        "scaling_factor": 0.18215,
    },
    "text_encoder": {
        "vocab_size": 49408,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "max_position_embeddings": 77,
        "hidden_act": "gelu",
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
}
PARAMETERS = {  # of the published networks
    "unet": 865_910_724,
    "controlnet": 363_153_280,
    "vae": 83_653_863,
    "text_encoder": 340_387_840,
}


def random_network(name: str, device: str, dtype: torch.dtype) -> Any:
    """One network, its memory taken once, in ``dtype``; activations keep about their size.

    One block of normals serves for all weights: to draw a billion takes a minute.
    """
    torch.set_default_dtype(dtype)
    with torch.device("meta"):
        network = network_class(name)(CONFIGS[name])
    torch.set_default_dtype(torch.float32)
    if name == "controlnet":
        network.controlnet_cond_embedding = NoConditioning()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == PARAMETERS[name], f"{name}: {count} parameters"
    network.to_empty(device=device)
    normals = torch.randn(1_000_003, device=device).to(dtype)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if parameter.ndim >= 2:
                flat, scaled = parameter.view(-1), normals * parameter[0].numel() ** -0.5
                for start in range(0, len(flat), len(normals)):
                    part = flat[start : start + len(normals)]
                    part.copy_(scaled[: len(part)])
            else:
                parameter.fill_(0.0 if key.endswith("bias") else 1.0)
        for key, buffer in network.named_buffers():
            assert key.endswith("position_ids"), key
            buffer.copy_(torch.arange(buffer.shape[-1]))
    return network


def random_networks(device: str, dtype: torch.dtype) -> DiffusionNetworks:
    torch.manual_seed(0)
    made = {name: random_network(name, device, dtype) for name in CONFIGS}
    networks = DiffusionNetworks(
        **made, tokenizer=tokenizer_of([]), schedule=SCHEDULE, condition="latent"
    )
    return networks.to(device, dtype)


def seconds(run: Callable[[], object], device: str) -> float:
    """How long it takes: on a GPU by the clock, on a CPU in time of the processor."""
    if device == "cpu":
        start = time.process_time()
        run()
        return round(time.process_time() - start, 1)
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return round(time.perf_counter() - start, 3)


def peak_gb(device: str) -> float:
    if device == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)


def parts(networks: DiffusionNetworks, device: str, runs: int) -> dict[str, float]:
    """Seconds of each thing a stage does; guidance is one iteration of eq. 3."""
    from sedic.synthesis.guidance import attention_maps, energy, gradient_of

    rows, columns = HEIGHT // 8, WIDTH // 8
    z = torch.randn(1, LATENT, rows, columns, device=device)
    mask = torch.zeros(rows, columns, dtype=torch.bool, device=device)
    mask[10:40, 20:60] = True
    context = networks.embed("a red cup on a table")
    both = torch.cat((context, context))

    def energy_at(x: torch.Tensor) -> torch.Tensor:
        maps = attention_maps(networks.unet, lambda: networks.predict(x, 500, context, z))
        return energy(maps, mask, [1, 2])

    cases: dict[str, Callable[[], object]] = {
        "text": lambda: networks.embed("a red cup on a table"),
        "VAE encode": lambda: networks.encode(torch.zeros(1, 3, HEIGHT, WIDTH)),
        "VAE decode": lambda: networks.decode(z),
        "step without guidance, cfg as a batch of 2": lambda: networks.predict(z, 500, both, z),
        "one iteration of guidance": lambda: gradient_of(energy_at, z),
    }
    results = {}
    for name, run in cases.items():
        with torch.no_grad():
            if runs > 1:
                run()
            results[name] = min(seconds(run, device) for _ in range(runs))
    return results


def batch_throughput(networks: DiffusionNetworks, device: str, batch: int, steps: int) -> float:
    """Pictures a second, were their unguided steps (``steps`` in all) the only cost."""
    z = torch.randn(1, LATENT, HEIGHT // 8, WIDTH // 8, device=device)
    contexts = networks.embed("a red cup on a table").repeat(2 * batch, 1, 1)
    with torch.no_grad():
        networks.predict(z, 500, contexts, z)
        step = min(seconds(lambda: networks.predict(z, 500, contexts, z), device) for _ in "123")
    return round(batch / (step * steps), 3)


def sample() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A photograph of a cup of coffee, which scikit-image carries."""
    return np.asarray(Image.fromarray(coffee()).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    cuda = arguments.device == "cuda"
    place = placement(arguments.device)
    load = os.getloadavg()[0]
    start = time.perf_counter()
    networks = random_networks(arguments.device, place.dtype)
    profile = Profile.load(arguments.profile, networks=networks)
    encoder, decoder = Encoder(profile), Decoder(profile)
    wishes: dict[str, Any] = {}
    if arguments.steps:
        wishes = {"object_steps": arguments.steps, "last_steps": arguments.steps}
    settings = profile.settings_with("sedic", wishes)
    built = time.perf_counter() - start
    entry: dict[str, Any] = {
        "command": f"python benchmarks/full_size.py {' '.join(sys.argv[1:])}".strip(),
        "commit": commit(),
        **hardware(),
        "threads": torch.get_num_threads(),
        "load before": round(load, 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "number format": str(place.dtype).removeprefix("torch."),
        "sampler": settings.sampler,
        "object's stage": f"{settings.object_steps} steps, cfg {settings.object_cfg:g}",
        "last stage": f"{settings.last_steps} steps, cfg {settings.last_cfg:g}",
        "guided steps of an object's stage, at most": settings.guided_steps(),
        "GB of weights": round(place.dtype.itemsize * sum(PARAMETERS.values()) / 1e9, 2),
        "seconds to build": round(built, 1),
        "files": {},
    }
    for objects in arguments.objects:
        limit = Rate(1 << 12, max_objects=objects)
        done = encoder.compress(sample(), limit, settings=wishes)
        found = len(done.image.objects)
        assert found == objects, f"only {found} objects in the sample"
        if cuda:
            decoder.decompress(done.data)  # the first run chooses kernels
            torch.cuda.reset_peak_memory_stats()
        taken = [
            seconds(lambda d=done.data: decoder.decompress(d), arguments.device)
            for _ in range(3 if cuda else 1)
        ]
        entry["files"][f"J = {objects}"] = {
            "seconds": min(taken),
            "peak GB": peak_gb(arguments.device),
        }
        print(f"J = {objects}: {min(taken)} s", flush=True)
    if arguments.parts:
        entry["parts"] = parts(networks, arguments.device, 5 if cuda else 1)
    if arguments.batch:
        rate = batch_throughput(networks, arguments.device, arguments.batch, settings.last_steps)
        entry[f"pictures a second at batch {arguments.batch}, the last stage alone"] = rate
    entry["peak GB"] = peak_gb(arguments.device)
    return entry


def as_markdown(report: dict[str, Any]) -> str:
    lines = [
        "# The paper's decoder at full size",
        "",
        "`benchmarks/full_size.py`: Stable Diffusion 2.1-base and IRControlNet in their published",
        "shapes with random weights; a 768x512 file of a profile, from its bytes to the picture.",
        "J objects make J + 1 stages. Reference codec included. Seconds on a CPU are those of the",
        "processor, of all threads together: other programs hardly change them.",
        "",
    ]
    for name, entry in report.items():
        facts = [f"{k}: {v}" for k, v in entry.items() if not isinstance(v, dict)]
        lines += [f"## {name}", "", *(f"- {fact}" for fact in facts), ""]
        lines += ["| | seconds | peak GB |", "|---|---|---|"]
        lines += [
            f"| {what} | {' | '.join(str(value) for value in file.values())} |"
            for what, file in entry["files"].items()
        ]
        if "parts" in entry:
            lines += ["", "| part | seconds |", "|---|---|"]
            lines += [f"| {what} | {value} |" for what, value in entry["parts"].items()]
        lines.append("")
    if not any(name.startswith("cuda") for name in report):
        lines += ["Not measured on a GPU yet: `--device cuda` is written and untested.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--profile", default="sd21", choices=("sd21", "sd21-tcd", "sd21-turbo"))
    parser.add_argument("--steps", type=int, default=0, help="of every stage, not the profile's")
    parser.add_argument("--objects", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--parts", action="store_true", help="also what each thing in a stage takes"
    )
    parser.add_argument("--batch", type=int, default=0)
    arguments = parser.parse_args()
    path = HERE / "full_size.json"
    report = json.loads(path.read_text()) if path.is_file() else {}
    report[f"{arguments.device}, {arguments.profile}"] = measure(arguments)
    path.write_text(json.dumps(report, indent=1) + "\n")
    text = as_markdown(report)
    (HERE / "full_size.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
