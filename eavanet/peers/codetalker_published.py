"""The published files of CodeTalker: what their tensors are called there and here, and which settings they imply."""

import re
from collections.abc import Mapping

from torch import Tensor

from eavanet.peers.codetalker import CodeTalkerConfig
from eavanet.peers.codetalker_codes import AutoencoderConfig

# Numbers of heads leave no trace in a file; these are the published ones.
STAGE_1_HEADS, STAGE_2_HEADS = 8, 4

# Published name -> ours, as regular expressions; the first that fits is taken. {side} is encoder or decoder.
_STAGE_1 = (
    (r"encoder\.vertice_mapping\.0\.(.+)", r"from_vertices.\1"),
    (r"(encoder)\.squasher\.0\.0\.(.+)", r"\1.conv.\2"),
    (r"(encoder)\.squasher\.0\.2\.(.+)", r"\1.norm.\2"),
    (r"(decoder)\.expander\.0\.0\.(.+)", r"\1.conv.\2"),
    (r"(decoder)\.expander\.0\.2\.(.+)", r"\1.norm.\2"),
    (r"encoder\.encoder_linear_embedding_post\.net\.(.+)", r"to_codes.\1"),
    (r"decoder\.decoder_linear_embedding_pre\.net\.(.+)", r"from_codes.\1"),
    (r"(encoder|decoder)\.\1_linear_embedding\.net\.(.+)", r"\1.embedding.\2"),
    (r"(encoder|decoder)\.\1_pos_embedding\.pe", r"\1.positions"),
    (r"decoder\.vertice_map_reverse\.(.+)", r"to_vertices.\1"),
    (r"quantize\.embedding\.weight", r"codebook.entries"),
)
_LAYER = re.compile(r"(encoder|decoder)\.\1_transformer\.net\.(\d+)\.fn\.(.+)")
_LAYER_PARTS = {"norm": "norm", "fn.to_qkv": "qkv", "fn.to_out": "out", "fn.l1": "first", "fn.l2": "second"}


def stage_1_name(published: str) -> str:
    """Our name of a tensor of a stage 1 file; one that is not known stays as it is."""
    layer = _LAYER.fullmatch(published)
    if layer:
        part, _, leaf = layer[3].rpartition(".")
        # The published list has attention at even, the MLP at odd places.
        kind = "mlp" if int(layer[2]) % 2 else "attention"
        return f"{layer[1]}.blocks.{int(layer[2]) // 2}.{kind}.{_LAYER_PARTS.get(part, part)}.{leaf}"
    for pattern, ours in _STAGE_1:
        if re.fullmatch(pattern, published):
            return re.sub(pattern, ours, published)
    return published


# Stage 2's names; its stage 1 lies under autoencoder, its speech encoder under audio_encoder.
_STAGE_2 = {
    "audio_feature_map": "audio_map", "vertice_map": "from_vertices", "PPE.pe": "positions",
    "transformer_decoder": "transformer", "feat_map": "to_codes", "learnable_style_emb": "styles",
}  # fmt: skip


def stage_2_name(published: str) -> str:
    """Our name of a tensor of a stage 2 file; one that is not known stays as it is."""
    first, _, rest = published.partition(".")
    if first == "autoencoder":
        return f"autoencoder.{stage_1_name(rest)}"
    for theirs, ours in _STAGE_2.items():
        if published == theirs or published.startswith(f"{theirs}."):
            return ours + published.removeprefix(theirs)
    return published


def stage_1_config(tensors: Mapping[str, Tensor], heads: int = STAGE_1_HEADS) -> AutoencoderConfig:
    """The settings of a stage 1 whose tensors, in our names, are these.

    Raises KeyError with the name of a tensor that no stage 1 is without, ValueError for impossible shapes.
    """
    n_coordinates, (n_codes, code_width) = tensors["from_vertices.weight"].shape[1], tensors["codebook.entries"].shape
    if n_coordinates % 3:
        raise ValueError(f"from_vertices.weight: {n_coordinates} columns; expected three for each vertex")
    width, code_maps = tensors["from_vertices.weight"].shape[0], "to_codes.weight" in tensors
    frame_width = tensors["to_codes.weight"].shape[0] if code_maps else width
    return AutoencoderConfig(
        n_vertices=n_coordinates // 3,
        width=width,
        layers=_count(tensors, r"encoder\.blocks\.(\d+)\."),
        heads=heads,
        mlp_width=tensors["encoder.blocks.0.mlp.first.weight"].shape[0],
        codes_per_frame=frame_width // code_width,
        code_width=code_width,
        n_codes=n_codes,
        code_maps=code_maps,
        vertex_bias="to_vertices.bias" in tensors,
        affine_norm="encoder.norm.weight" in tensors,
    )


def stage_2_config(
    tensors: Mapping[str, Tensor],
    subjects: tuple[str, ...],
    *,
    frames_per_second: float | None = None,
    heads: int = STAGE_2_HEADS,
    stage_1_heads: int = STAGE_1_HEADS,
) -> CodeTalkerConfig:
    """The settings of a CodeTalker whose tensors, in our names, are these.

    subjects: the condition subjects in the order in which it was trained. frames_per_second: by default the period of
    the positional encoding, which is a second in the published files. Raises KeyError and ValueError as above.
    """
    known = len(tensors["styles.weight"])
    if len(subjects) != known:
        raise ValueError(f"{len(subjects)} condition subjects were given, the model was trained with {known}")
    period = _period(tensors["positions"][0])
    rate = float(frames_per_second or period)
    of_stage_1 = [key for key in tensors if key.startswith("autoencoder.")]
    inner = {key.removeprefix("autoencoder."): tensors[key] for key in of_stage_1}
    return CodeTalkerConfig(
        codes=stage_1_config(inner, stage_1_heads),
        subjects=subjects,
        frames_per_second=rate,
        period=period,
        width=tensors["styles.weight"].shape[1],
        layers=_count(tensors, r"transformer\.layers\.(\d+)\."),
        heads=heads,
    )


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    found = [re.match(pattern, key) for key in tensors]
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def _period(table: Tensor) -> int:
    """After how many rows of (n, D) the first comes again."""
    again = (table[1:] == table[0]).all(dim=1).nonzero()
    return int(again[0]) + 1 if len(again) else len(table)
