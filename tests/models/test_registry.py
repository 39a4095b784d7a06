from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel

from sedic.errors import SedicError
from sedic.models import download, registry
from sedic.models.registry import File, Model, fetch, require, verify

BODY = bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()


class Server:
    """Loopback mirrors ``/a/``, ``/b/``, ...: what each path sends, and what was asked."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}  # path: send only so many bytes, once
        self.ranges = True
        self.redirect: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def mirror(self, name: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{name}/"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        asked = to.headers.get("Range", "")
        self.asked.append((to.path, asked))
        if to.path in self.redirect:
            to.send_response(302)
            to.send_header("Location", self.redirect[to.path])
            to.end_headers()
            return
        body = self.bodies.get(to.path)
        if body is None:
            to.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start and start >= len(body):
            to.send_error(416)
            return
        to.send_response(206 if start else 200)
        if start:
            to.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        to.send_header("Content-Length", str(len(body) - start))
        to.end_headers()
        to.wfile.write(body[start : self.cut.pop(to.path, len(body))])


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEDIC_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def model(*mirrors: str, sha256: str = "", **fields: Any) -> Model:
    file = File(path="unet/weights.bin", source="w.bin", sha256=sha256, **fields)
    return Model(
        name="tiny",
        profile="test",
        folder="test",
        purpose="to test",
        licence="none",
        megabytes=1,
        needed=True,
        mirrors=mirrors,
        files=(file,),
    )


def silent(*_: object) -> None:
    pass


def test_the_next_mirror_has_what_the_first_has_not(server: Server, folder: Path) -> None:
    server.bodies["/b/w.bin"] = BODY
    fetch(model(server.mirror("a"), server.mirror("b")), silent)
    assert (folder / "test" / "unet" / "weights.bin").read_bytes() == BODY
    assert [path for path, _ in server.asked] == ["/a/w.bin", "/b/w.bin"]
    assert [p.name for p in (folder / "test" / "unet").iterdir()] == ["weights.bin"]


def test_a_cut_connection_is_continued(server: Server, folder: Path) -> None:
    server.bodies["/a/w.bin"] = BODY
    server.cut["/a/w.bin"] = 3000
    seen: list[int] = []
    fetch(model(server.mirror("a"), sha256=SHA), lambda _, done, total: seen.append(done))
    assert server.asked == [("/a/w.bin", ""), ("/a/w.bin", "bytes=3000-")]
    assert (folder / "test" / "unet" / "weights.bin").read_bytes() == BODY
    assert seen == sorted(seen) and seen[-1] == len(BODY)


def test_a_server_without_ranges_begins_again(server: Server, folder: Path) -> None:
    server.bodies["/a/w.bin"] = BODY
    server.cut["/a/w.bin"] = 3000
    server.ranges = False
    fetch(model(server.mirror("a")), silent)
    assert (folder / "test" / "unet" / "weights.bin").read_bytes() == BODY


def test_an_interrupted_run_goes_on_later(server: Server, folder: Path) -> None:
    server.bodies["/a/w.bin"] = BODY

    def interrupt(_: str, done: int, __: int) -> None:
        raise KeyboardInterrupt

    server.cut["/a/w.bin"] = 5000
    with pytest.raises(KeyboardInterrupt):
        fetch(model(server.mirror("a")), interrupt)
    assert not (folder / "test" / "unet" / "weights.bin").exists()
    fetch(model(server.mirror("a")), silent)
    assert server.asked[-1] == ("/a/w.bin", "bytes=5000-")
    assert (folder / "test" / "unet" / "weights.bin").read_bytes() == BODY


def test_mirrors_are_never_mixed_without_a_hash(server: Server, folder: Path) -> None:
    part = folder / "test" / "unet" / ".weights.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else")
    server.bodies["/b/w.bin"] = BODY
    fetch(model(server.mirror("a"), server.mirror("b")), silent)
    assert all(asked == "" for _, asked in server.asked)
    assert (folder / "test" / "unet" / "weights.bin").read_bytes() == BODY


def test_a_stale_beginning_is_thrown_away(server: Server, folder: Path) -> None:
    part = folder / "test" / "unet" / ".weights.bin.part"
    part.parent.mkdir(parents=True)
    for stale in (b"x" * 100, b"x" * (len(BODY) + 5)):
        part.write_bytes(stale)
        server.bodies |= {"/a/w.bin": BODY, "/b/w.bin": BODY}
        fetch(model(server.mirror("a"), server.mirror("b"), sha256=SHA), silent)
        target = folder / "test" / "unet" / "weights.bin"
        assert target.read_bytes() == BODY
        target.unlink()


def test_another_file_under_the_same_name_is_refused(server: Server, folder: Path) -> None:
    server.bodies["/a/w.bin"] = BODY[:-1] + b"!"
    with pytest.raises(SedicError, match=r"127\.0\.0\.1: another file .*127\.0\.0\.1: 404"):
        fetch(model(server.mirror("a"), server.mirror("b"), sha256=SHA), silent)
    assert not list((folder / "test" / "unet").iterdir())


def test_a_hash_is_learned_once_and_then_checked(server: Server, folder: Path) -> None:
    server.bodies["/a/w.bin"] = BODY
    tiny = model(server.mirror("a"))
    fetch(tiny, silent)
    assert json.loads((folder / registry.LOCK).read_text()) == {"test/unet/weights.bin": SHA}
    assert list(verify(tiny, silent)) == [("unet/weights.bin", "right")]
    target = folder / "test" / "unet" / "weights.bin"
    target.write_bytes(BODY + b"!")
    assert list(verify(tiny, silent)) == [("unet/weights.bin", "changed")]
    target.unlink()
    assert list(verify(tiny, silent)) == [("unet/weights.bin", "missing")]
    server.bodies["/a/w.bin"] = BODY + b"!"
    with pytest.raises(SedicError, match="sha256 is wrong"):
        fetch(tiny, silent)
    server.bodies["/a/w.bin"] = BODY
    fetch(tiny, silent)
    before = len(server.asked)
    fetch(tiny, silent)  # all is there
    assert len(server.asked) == before


def test_files_put_there_by_hand_are_of_unknown_origin(folder: Path) -> None:
    target = folder / "test" / "unet" / "weights.bin"
    target.parent.mkdir(parents=True)
    target.write_bytes(BODY)
    assert list(verify(model(), silent)) == [("unet/weights.bin", "unknown")]
    assert list(verify(model(sha256=SHA), silent)) == [("unet/weights.bin", "right")]


def test_a_damaged_lock_file_is_said_to_be_damaged(folder: Path) -> None:
    folder.mkdir()
    for damaged in (b"{", b"[]", b'{"a": 1}', b"\xff"):
        (folder / registry.LOCK).write_bytes(damaged)
        with pytest.raises(SedicError, match="damaged"):
            fetch(model("https://127.0.0.1:1/"), silent)


def test_an_original_becomes_safetensors_and_goes(server: Server, folder: Path) -> None:
    path = folder.parent / "original.bin"
    torch.save({"controlnet_down_blocks.0.weight": torch.ones(2, 3)}, path)
    server.bodies["/a/w.bin"] = path.read_bytes()
    tiny = model(server.mirror("a"), makes="controlnet/model.safetensors")
    (folder / "test" / "controlnet").mkdir(parents=True)
    fetch(tiny, silent)
    assert tiny.here
    assert not (folder / "test" / "unet" / "weights.bin").exists()
    assert list(verify(tiny, silent)) == [("controlnet/model.safetensors", "right")]


def test_clip_s_pickle_becomes_what_transformers_loads(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for ``clip-vit-base-patch16``, whose repository has a pinned .bin alone."""
    from transformers import CLIPConfig, CLIPModel

    from sedic.models import pretrained

    small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    text = {**small, "num_hidden_layers": 1, "vocab_size": 99}
    vision = {**small, "num_hidden_layers": 1, "image_size": 16, "patch_size": 8}
    made = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    path = folder.parent / "original.bin"
    counter = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    torch.save({**made.state_dict(), **counter}, path)
    (real,) = registry.select("clip-vit-base-patch16")
    assert (real.files[-1].source, real.files[-1].ready) == (
        "pytorch_model.bin",
        "model.safetensors",
    )
    for file in real.files:
        server.bodies[f"/a/{file.source}"] = b"{}"
    server.bodies["/a/config.json"] = json.dumps(made.config.to_dict()).encode()
    server.bodies["/a/pytorch_model.bin"] = path.read_bytes()
    with pytest.raises(SedicError, match="sha256 is wrong"):
        fetch(replace(real, mirrors=(server.mirror("a"),)), silent)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    files = (*real.files[:-1], replace(real.files[-1], sha256=digest))
    tiny = replace(real, mirrors=(server.mirror("a"),), files=files)
    fetch(tiny, silent)
    assert tiny.here and not (tiny.path / "pytorch_model.bin").exists()
    loaded = pretrained.load_pretrained(CLIPModel, tiny.path)
    assert torch.equal(loaded.text_projection.weight, made.text_projection.weight)


def small_gguf(path: Path, architecture: str = "llama") -> None:
    """A Llama of one layer in GGUF, its pairs of rotary angles in llama.cpp's order."""
    gguf = pytest.importorskip("gguf", reason="needs the package gguf (sedic[papers])")
    rng = np.random.default_rng(0)
    pieces = ["<|endoftext|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "ab"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(32)
    writer.add_block_count(1)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_context_length(128)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(pieces)
    writer.add_token_types([3, 3] + [1] * (len(pieces) - 2))
    writer.add_token_merges(["a b"])
    for name, shape in {
        "token_embd": (len(pieces), 64),
        "output_norm": (64,),
        "blk.0.attn_norm": (64,),
        "blk.0.ffn_norm": (64,),
        "blk.0.attn_q": (64, 64),
        "blk.0.attn_k": (32, 64),
        "blk.0.attn_v": (32, 64),
        "blk.0.attn_output": (64, 64),
        "blk.0.ffn_gate": (32, 64),
        "blk.0.ffn_up": (32, 64),
        "blk.0.ffn_down": (64, 32),
    }.items():
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        if name.startswith("blk") and len(shape) == 2:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(f"{name}.weight", gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{name}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_language_model_in_gguf_becomes_one_that_codes_text(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sedic.coding import token_text
    from sedic.models import language

    source = folder.parent / "lm.gguf"
    small_gguf(source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    (real,) = registry.select("smollm2-135m")
    file = replace(real.files[0], sha256=digest)
    tiny = replace(real, mirrors=(server.mirror("a"),), files=(file,), package="")
    monkeypatch.setattr(registry, "models", lambda: (tiny,))
    assert not language.is_here()
    with pytest.raises(SedicError, match="sedic models fetch smollm2-135m"):
        language.find_language_model()
    server.bodies[f"/a/{file.source}"] = source.read_bytes()
    fetch(tiny, silent)
    assert language.is_here() and dict(verify(tiny, silent)) == {"model.safetensors": "right"}
    model = language.find_language_model()
    text = "A cab <|endoftext|> at the bus stop, 14255."
    data = token_text.encode(text, model)
    assert token_text.decode(data, 99, language.LanguageModel(tiny.path)) == text


def test_a_language_model_comes_from_an_installed_package_if_that_has_the_pinned_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = folder.parent / "packages"
    (packages / "carrier").mkdir(parents=True)
    (packages / "carrier" / "__init__.py").write_text("raise SystemExit('imported')")
    (packages / "carrier" / "w.bin").write_bytes(BODY)
    monkeypatch.syspath_prepend(packages)
    offline = replace(model("http://127.0.0.1:1/", sha256=SHA), package="carrier")
    fetch(offline, silent)
    assert offline.here and list(verify(offline, silent)) == [("unet/weights.bin", "right")]
    (offline.path / "unet" / "weights.bin").unlink()
    (packages / "carrier" / "w.bin").write_bytes(BODY + b"!")  # another file there
    with pytest.raises(SedicError, match="offline"):
        fetch(offline, silent)
    with pytest.raises(SedicError, match="offline"):  # or no such package
        fetch(replace(offline, package="no_such_package"), silent)


def test_what_is_no_llama_in_gguf_is_refused(tmp_path: Path) -> None:
    from sedic.models.gguf_model import convert

    pytest.importorskip("gguf", reason="needs the package gguf (sedic[papers])")
    path = tmp_path / "lm.gguf"
    for content in (b"", b"GGUF", b"GGUF\3\0\0\0" + b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(SedicError, match="no Llama"):
            convert(path, tmp_path, "<|endoftext|>", "")
    small_gguf(path, architecture="mamba")
    with pytest.raises(SedicError, match="no Llama"):
        convert(path, tmp_path, "<|endoftext|>", "")


def test_only_https_beyond_this_machine(server: Server) -> None:
    server.redirect["/a/w.bin"] = "http://mirror.invalid/w.bin"
    for mirror in (server.mirror("a"), "http://mirror.invalid/", "file:///etc/", "ftp://x/"):
        with pytest.raises(SedicError, match="not https"):
            fetch(model(mirror), silent)


def test_a_server_cannot_fill_the_disk(server: Server, tmp_path: Path) -> None:
    server.bodies["/a/w.bin"] = BODY
    url = server.mirror("a") + "w.bin"
    with pytest.raises(SedicError, match="more than this file can have"):
        download.download([url], tmp_path / "w.bin", "", len(BODY) - 1, silent)
    assert not (tmp_path / "w.bin").exists()


def test_an_offline_machine_says_so_in_one_line() -> None:
    with pytest.raises(SedicError, match="offline") as caught:
        fetch(model("http://127.0.0.1:1/"), silent)
    assert "\n" not in str(caught.value)


def test_a_missing_model_names_the_command(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = model(server.mirror("a"))
    monkeypatch.setattr(registry, "models", lambda: (tiny,))
    for name in ("test", "tiny"):
        with pytest.raises(SedicError, match=f"sedic models fetch {name}$"):
            require(name)
    server.bodies["/a/w.bin"] = BODY
    fetch(tiny, silent)
    assert require("test") == require("tiny") == folder / "test"
    with pytest.raises(SedicError, match="known: test, tiny"):
        require("else")


def test_a_hub_repository_keeps_the_revision_first_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[str] = []
    brought = {"config.json": "{}"}

    def snapshot(repository: str, revision: str, local_dir: Path, allow_patterns: Any) -> None:
        assert repository == "someone/something" and allow_patterns == ["config.json", "*.st"]
        asked.append(revision)
        local_dir.mkdir(parents=True, exist_ok=True)
        for name, content in brought.items():
            (local_dir / name).write_text(content)

    class Api:
        newest = "1" * 40

        def model_info(self, repository: str, revision: str) -> Any:
            return type("Info", (), {"sha": self.newest})

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    hub = Model(
        name="hub",
        profile="test",
        folder="hub",
        purpose="to test",
        licence="none",
        megabytes=1,
        needed=False,
        repository="someone/something",
        patterns=("config.json", "*.st"),
    )
    assert not hub.here
    # A configuration alone is no model, whoever put it there.
    with pytest.raises(SedicError, match=r"brought no model\.safetensors"):
        fetch(hub, silent)
    assert not hub.here
    assert dict(verify(hub, silent)) == {"config.json": "unknown", "model.safetensors": "missing"}
    brought |= {"model.safetensors.index.json": '{"weight_map": {"a": "b.safetensors"}}'}
    brought |= {"c.safetensors": "c"}
    with pytest.raises(SedicError, match=r"brought no b\.safetensors"):
        fetch(hub, silent)
    brought |= {"b.safetensors": "b"}
    fetch(hub, silent)
    assert hub.here
    Api.newest = "2" * 40
    fetch(hub, silent)
    assert asked == ["1" * 40] * 2 + ["1" * 40] * 2
    assert set(dict(verify(hub, silent)).values()) == {"right"}
    (folder / "hub" / "b.safetensors").write_text("x")
    assert dict(verify(hub, silent))["b.safetensors"] == "changed"
    (folder / "hub" / "b.safetensors").unlink()
    assert not hub.here
    assert dict(verify(hub, silent))["b.safetensors"] == "missing"


def test_the_lists_are_sound() -> None:
    names = [entry.name for entry in registry.models()]
    assert len(names) == len(set(names))
    for entry in registry.models():
        assert entry.licence and entry.purpose and entry.megabytes > 0
        assert all(mirror.startswith("https://") for mirror in entry.mirrors)
        assert all(mirror.endswith("/") for mirror in entry.mirrors)
        assert bool(entry.repository) != bool(entry.files)
        safe = (".json", ".txt", ".safetensors", ".jinja")
        assert all(pattern.endswith(safe) for pattern in entry.patterns)
        for file in entry.files:
            for path in (file.path, file.ready, file.source):
                assert not PurePosixPath(path).is_absolute() and ".." not in path
            assert file.ready.endswith(safe) or (entry.profile == "bench" and file.sha256)
            assert file.sha256 == "" or len(bytes.fromhex(file.sha256)) == 32
            # a pickle is fetched only by a hash that is known
            assert file.path == file.ready or file.sha256
        assert not entry.package or all(file.sha256 for file in entry.files)


def test_a_profile_lists_every_part_that_loading_reads() -> None:
    for profile in ("sd21", "sd15", "sd21-tcd", "sd15-lcm", "sd21-turbo"):
        ready = {file.ready for m in registry.select(profile) for file in m.files}
        for part in ("vae", "unet"):
            assert {f"{part}/config.json", f"{part}/diffusion_pytorch_model.safetensors"} <= ready
        assert "controlnet/diffusion_pytorch_model.safetensors" in ready
        assert {"text_encoder/config.json", "text_encoder/model.safetensors"} <= ready
        assert {"tokenizer/vocab.json", "tokenizer/merges.txt"} <= ready
        assert "scheduler/scheduler_config.json" in ready
        folders = {m.folder for m in registry.select(profile) if not m.lora}
        assert len(folders) == 1  # that of the first, which is loaded
    loras = [m for m in registry.select("sd21-tcd") if m.lora]
    assert [m.name for m in loras] == ["tcd-lora-sd21-base"]
    assert [m.name for m in registry.select("sd21")] == ["stable-diffusion-2-1-base", "diffbir-v2"]
