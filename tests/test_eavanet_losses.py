"""Eq. (6) and (7), worked by hand."""

import math

import pytest
import torch

from eavanet.losses import total_loss, vertex_loss

# One clip of two frames and one vertex: differences (3, 4, 0) and (0, 0, 1).
PREDICTED = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]])
TARGET = torch.zeros(1, 2, 3)


def test_equation_6_as_printed_is_the_mean_of_the_frames_norms():
    assert vertex_loss(PREDICTED, TARGET, torch.tensor([2])).tolist() == [3.0]  # (5 + 1) / 2


def test_the_mean_square_error_is_over_frames_and_coordinates():
    assert vertex_loss(PREDICTED, TARGET, torch.tensor([2]), "mse").item() == pytest.approx(26 / 6)


def test_frames_behind_the_end_of_a_clip_count_nothing_whatever_they_hold():
    predicted = torch.cat([PREDICTED, torch.full((1, 1, 3), float("nan"))], dim=1)
    assert vertex_loss(predicted, torch.zeros(1, 3, 3), torch.tensor([2])).tolist() == [3.0]


def test_a_perfect_prediction_has_no_loss_and_a_finite_gradient():
    predicted = torch.zeros(1, 2, 3, requires_grad=True)
    loss = vertex_loss(predicted, torch.zeros(1, 2, 3), torch.tensor([2])).sum()
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(predicted.grad).all()


def test_equation_7_adds_a_thousandth_of_the_cross_entropy():
    logits = torch.zeros(1, 4)
    losses = total_loss(PREDICTED, TARGET, torch.tensor([2]), logits, torch.tensor([2]))
    assert losses.emotion.item() == pytest.approx(math.log(4))
    assert losses.total.item() == pytest.approx(3 + 0.001 * math.log(4))


def test_each_clip_of_a_batch_counts_the_same_however_long_it_is():
    predicted = torch.cat([PREDICTED, torch.tensor([[[0.0, 9.0, 0.0], [7.0, 7.0, 7.0]]])])
    losses = total_loss(predicted, torch.zeros(2, 2, 3), torch.tensor([2, 1]), torch.zeros(2, 4), torch.zeros(2).long())
    assert losses.vertex.item() == 6  # (3 + 9) / 2


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="vertex loss 'l1': expected one of norm, mse"):
        vertex_loss(PREDICTED, TARGET, torch.tensor([2]), "l1")
