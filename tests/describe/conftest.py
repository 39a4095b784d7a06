"""Random detectors and segmenters of the real classes, saved to disk."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Grounding DINO on disk; its vocabulary has BERT's ids for what ends a name."""
    import torch
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.tokenization_bert import BertTokenizer
    from transformers.models.grounding_dino.configuration_grounding_dino import (
        GroundingDinoConfig,
    )
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
        GroundingDinoImageProcessorPil,
    )
    from transformers.models.grounding_dino.modeling_grounding_dino import (
        GroundingDinoForObjectDetection,
    )
    from transformers.models.swin.configuration_swin import SwinConfig

    folder = tmp_path_factory.mktemp("detector")
    vocab = {f"[unused{number}]": number for number in range(1100)}
    words = {"red": 5, "hat": 6, "plane": 7, "st": 8, "bern": 9, "##ard": 10}
    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    ends = {".": 1012, "?": 1029}
    for token, number in (words | special | ends).items():
        del vocab[f"[unused{number}]"]
        vocab[token] = number
    BertTokenizer(vocab=vocab, do_lower_case=True).save_pretrained(folder)
    size = {"shortest_edge": 128, "longest_edge": 192}
    GroundingDinoImageProcessorPil(size=size).save_pretrained(folder)
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )
    bert = BertConfig(
        vocab_size=len(vocab),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=12,
        max_text_len=32,
    )
    torch.manual_seed(5)
    model = GroundingDinoForObjectDetection(config)
    with torch.no_grad():  # boxes that differ, as a trained head's do
        for name, weights in model.named_parameters():
            if "bbox_embed" in name and "layers.2" in name:
                weights.normal_(std=0.5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM on disk."""
    import torch
    from transformers.models.sam.configuration_sam import (
        SamConfig,
        SamMaskDecoderConfig,
        SamPromptEncoderConfig,
        SamVisionConfig,
    )
    from transformers.models.sam.modeling_sam import SamModel

    folder = tmp_path_factory.mktemp("sam")
    vision = SamVisionConfig(
        hidden_size=16,
        output_channels=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        window_size=4,
        global_attn_indexes=[1],
        num_pos_feats=8,
        mlp_dim=16,
    )
    prompt = SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=8)
    config = SamConfig(
        vision_config=vision,
        prompt_encoder_config=prompt,
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=16,
            mlp_dim=16,
            num_attention_heads=2,
            iou_head_hidden_dim=16,
            num_hidden_layers=1,
        ),
    )
    torch.manual_seed(2)
    SamModel(config).save_pretrained(folder)
    return folder
