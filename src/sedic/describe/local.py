"""Words for a picture from a transformers image-text-to-text model on this machine.

transformers' processors of SmolVLM and Qwen-VL require torchvision (and num2words) for videos. Here
their parts for pictures are put together without these packages, even where they are installed, so
that words do not depend on that. Other models use ``AutoProcessor``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from sedic.describe.answer_text import RefusalError
from sedic.describe.answers import Usage, Words, parse_words
from sedic.describe.description import one_line
from sedic.describe.prompts import picture_for_model, prompt
from sedic.errors import DescriberError, MissingWeightsError, OutOfMemoryError, SedicError
from sedic.files import printable

if TYPE_CHECKING:
    import torch

    from sedic.picture import Picture

DEFAULT_MODEL = "HuggingFaceTB/SmolVLM2-2.2B-Instruct"  # Apache-2.0, 4.5 GB
SIDE = 1024  # pixels of the longer side of a model's input, at most
TOKENS_PER_WORD = 3  # limit of an answer: a word has about 1.3 tokens, JSON and excess the rest
RETRY_FACTOR = 8  # on that limit, after an answer was cut off before its description

# What transformers may raise about a folder that is not there, is damaged or holds something else.
_UNUSABLE = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError),
    SafetensorError,
)


class _CutOffError(DescriberError):
    """The answer ended at the limit of tokens and has no description."""


@dataclass
class LocalDescriber:
    """A ``Describer`` that runs a model on this machine, deterministically.

    ``model`` is a folder, or an id on the Hugging Face hub: one that has been fetched before unless
    ``fetch`` is set. It must have safetensors weights; code that comes with it is not run. The
    model is loaded for the first picture and kept. Runs on a GPU where there is one.
    """

    model: str = DEFAULT_MODEL
    method: str = "sedic"
    fetch: bool = False

    def describe(
        self, picture: Picture, objects: int, detail_words: int, overall_words: int
    ) -> Words:
        """The words of one (height, width, 3) uint8 picture, decoded greedily.

        The model runs once, because it would give the same answer again. Only if its answer is cut
        off before the description, it runs once more, with a higher limit. Raises
        ``MissingWeightsError`` if the model is not here, ``OutOfMemoryError``, ``RefusalError`` if
        it refuses, and ``DescriberError`` if it cannot run or its answer has no description.
        """
        question = prompt(self.method, objects, detail_words, overall_words)
        budget = 64 + TOKENS_PER_WORD * (objects * (detail_words + 8) + overall_words)
        try:
            return self._ask(picture, question, budget, objects, detail_words, overall_words)
        except _CutOffError:
            budget *= RETRY_FACTOR
        return self._ask(picture, question, budget, objects, detail_words, overall_words)

    def _ask(self, picture: Picture, question: str, tokens: int, *budget: int) -> Words:
        """The words of an answer of at most so many ``tokens``; ``budget`` is ``parse``'s."""
        processor, model = self._loaded
        try:
            answer, usage = _generate(
                processor, model, picture_for_model(picture, SIDE), question, tokens
            )
        except (MemoryError, *_UNUSABLE) as error:
            raise _failed(self.model, error) from error
        cut_off = usage.received >= tokens
        try:
            words = parse_words(answer, *budget)
        except RefusalError:
            raise
        except DescriberError as error:
            if not cut_off:
                raise
            name = printable(self.model)[:200]
            raise _CutOffError(
                f"{name}: the answer was cut off at {tokens} tokens, before there was a description"
            ) from error
        warnings = ("the model's answer was cut off",) if cut_off else ()
        return replace(words, warnings=words.warnings + warnings, usage=usage)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The model's processor and the model."""
        from transformers import AutoConfig, AutoModelForImageTextToText

        device, dtype = _device()
        options = {"local_files_only": not self.fetch, "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(self.model, **options)
            compose = _COMPOSE.get(config.model_type, _any_processor)
            processor = compose(self.model, config, options)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                self.model, config=config, dtype=dtype, use_safetensors=True, **options
            )
            return processor, model.to(device).eval()
        except (MemoryError, *_UNUSABLE) as error:
            if isinstance(error, OSError) and not (self.fetch or Path(self.model).is_dir()):
                raise MissingWeightsError(
                    f"{printable(self.model)[:200]}: no such model on this machine;"
                    " name a folder, or allow fetching it"
                ) from error
            raise _failed(self.model, error) from error


def _generate(
    processor: Any, model: Any, image: Any, question: str, budget: int
) -> tuple[str, Usage]:
    """The model's answer, of at most ``budget`` tokens."""
    import torch

    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    inputs = processor(text=[text], images=[image], return_tensors="pt")
    inputs = inputs.to(model.device, model.dtype)
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    with torch.inference_mode():
        tokens = model.generate(**inputs, **greedy, max_new_tokens=budget)
    prompt_length = int(inputs["input_ids"].shape[1])
    written = tokens[0, prompt_length:]
    answer = processor.tokenizer.decode(written, skip_special_tokens=True)
    return str(answer), Usage(prompt_length, len(written))


def _device() -> tuple[torch.device, torch.dtype]:
    """The device, and the number format: one of 16 bits where the device has it natively."""
    import torch

    from sedic.models.precision import picture_dtype

    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported()
        return torch.device("cuda"), torch.bfloat16 if native else torch.float16
    if torch.backends.mps.is_available():
        return torch.device("mps"), torch.float16
    return torch.device("cpu"), picture_dtype()


def _failed(model: str, error: Exception) -> SedicError:
    name = printable(model)[:200]
    if isinstance(error, MemoryError) or "memory" in str(error):  # torch's are RuntimeErrors
        return OutOfMemoryError(f"{name}: not enough memory; use a smaller model or an API")
    reason = one_line(str(error))[:200] or type(error).__name__
    return DescriberError(f"{name} cannot describe this picture: {reason}")


def _any_processor(source: str, config: Any, options: dict[str, Any]) -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(source, **options)  # type: ignore[no-untyped-call]


def _idefics(source: str, config: Any, options: dict[str, Any]) -> Any:
    """Idefics3's processor, which SmolVLM's is for pictures: the same layout of the prompt."""
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
    from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    pictures = {"idefics3": Idefics3ImageProcessorPil, "smolvlm": SmolVLMImageProcessorPil}
    vision = config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    return Idefics3Processor(
        pictures[config.model_type].from_pretrained(source, **options),
        _tokenizer(source, options),
        image_seq_len=patches // config.scale_factor**2,
        chat_template=_chat_template(Idefics3Processor, source, options),
    )


def _qwen_vl(source: str, config: Any, options: dict[str, Any]) -> Any:
    from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    class PictureProcessor(Qwen2_5_VLProcessor):
        """Qwen's processor without videos: it has the parts that ``__init__`` names."""

        def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str) -> None:
            super().__init__(  # type: ignore[no-untyped-call]
                image_processor, tokenizer, chat_template=chat_template
            )

    return PictureProcessor(
        Qwen2VLImageProcessorPil.from_pretrained(source, **options),
        _tokenizer(source, options),
        _chat_template(Qwen2_5_VLProcessor, source, options),
    )


_COMPOSE: dict[str, Callable[[str, Any, dict[str, Any]], Any]] = {
    "idefics3": _idefics,
    "smolvlm": _idefics,
    "qwen2_vl": _qwen_vl,
    "qwen2_5_vl": _qwen_vl,
}


def _tokenizer(source: str, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, **options)


def _chat_template(processor: Any, source: str, options: dict[str, Any]) -> str:
    """The model's chat template, from the processor's files, else from the tokenizer's."""
    template: str | None = processor.get_processor_dict(source, **options)[0].get("chat_template")
    return template or str(_tokenizer(source, options).chat_template)
