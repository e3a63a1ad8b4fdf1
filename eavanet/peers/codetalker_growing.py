"""A clip that grows frame by frame, decoded by CodeTalker's stage 1 without computing anything twice.

The convolution sees five frames: what each frame adds to its neighbours is kept. After it stage 1 normalises over time,
and its attention has no mask, so every frame's values change with every new frame: the transformer runs over all t
frames at every step, only its last layer for the newest alone. That is T (T + 1) / 2 frames instead of T, and nearly
all that is left. (Frames with the same codes around them have the same values, as positions play no part; but in the
demo corpus no two stretches of five frames have the same codes, so nothing is made of it.)
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from eavanet.peers.codetalker_codes import KERNEL, Autoencoder


class GrowingClip:
    """Stage 1's decoder on a clip that grows up to `n_frames`; results are those before the map to vertices."""

    def __init__(self, autoencoder: Autoencoder, n_frames: int):
        self.autoencoder, self.context = autoencoder, autoencoder.decoder
        conv = self.context.conv
        # (5 D, D): what a frame adds to the frames two before to two after it, in one product.
        self.kernel = conv.weight.permute(2, 0, 1).flatten(0, 1).contiguous()
        self.products = conv.weight.new_empty(n_frames, KERNEL, conv.out_channels)
        self.convolved = conv.weight.new_empty(n_frames, conv.out_channels)
        self.length = 0

    def append(self, features: Tensor) -> None:
        """Add a frame by its code vectors before quantisation, (codes_per_frame, code_width)."""
        codebook = self.autoencoder.codebook
        codes = codebook.entries[codebook.nearest(features)].view(1, -1)
        products = F.linear(self.autoencoder.from_codes(codes), self.kernel)
        self.products[self.length] = products.view(KERNEL, -1)
        self.length += 1
        reach = KERNEL // 2
        # A new frame changes what its neighbours saw in its place: the frame at the edge, repeated.
        for frame in range(max(0, self.length - 1 - reach), self.length):
            self.convolved[frame] = self._convolve(frame, reach)

    def newest(self) -> Tensor:
        """(1, D) of the newest frame, in a clip that ends with it."""
        return self.context.attend(self._so_far(), last_only=True)[0]

    def all(self) -> Tensor:
        """(1, T, D) of all frames."""
        return self.context.attend(self._so_far())[:, : self.length]

    def _so_far(self) -> Tensor:
        # Instance normalisation needs two frames: the first one's codes are doubled.
        return (self.convolved[: self.length] if self.length > 1 else self.convolved[[0, 0]])[None]

    def _convolve(self, frame: int, reach: int) -> Tensor:
        neighbours = torch.arange(frame - reach, frame + reach + 1).clamp_(0, self.length - 1)
        summed = self.products[neighbours, torch.arange(KERNEL)].sum(dim=0) + self.context.conv.bias
        return F.leaky_relu(summed, self.context.leak)
