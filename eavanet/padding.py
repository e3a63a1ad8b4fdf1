"""Batches of clips that differ in length: what lies behind a clip's end must not change the clip.

Sequences are padded with zeros at the end. A convolution pads with zeros itself, so as long as every layer's input
is zero behind the end, each clip sees what it would see alone. Recurrent layers run over packed sequences.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def sequence_mask(lengths: Tensor, longest: int, like: Tensor) -> Tensor | None:
    """(B, longest, 1) of ones within each length and zeros behind, or None if nothing is padded.

    lengths: (B,) integers on the CPU, so that asking whether anything is padded does not wait for a GPU.
    """
    if bool((lengths == longest).all()):
        return None
    inside = torch.arange(longest) < lengths[:, None]
    return inside.unsqueeze(-1).to(device=like.device, dtype=like.dtype)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x (B, L, D) with zeros behind each clip's end."""
    return x if mask is None else x * mask


def run_packed(layer: nn.LSTM | nn.GRU, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs (B, L, directions x units) and last hidden states (layers x directions, B, units) of `layer`."""
    longest = x.shape[1]
    if bool((lengths == longest).all()):
        output, state = layer(x)
    else:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, state = layer(packed)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=longest)
    return output, state[0] if isinstance(state, tuple) else state


def pad_sequences(sequences: list[Tensor]) -> tuple[Tensor, Tensor]:
    """(B, L, ...) padded with zeros, and the lengths (B,), of sequences (L_i, ...)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    if len(sequences) == 1:
        return sequences[0].unsqueeze(0), lengths
    return nn.utils.rnn.pad_sequence(sequences, batch_first=True), lengths
