"""Where the molecules of a training frame are: on filaments, tubes and rulers, in clusters."""

import math

import torch
from torch import Generator, Tensor

from napari_smlm_diffusion.simulation.prior import Range, Structure

# Molecules on a nanoruler, and the distances between neighbours, in pixels.
_MARKS, _MARK_DISTANCE = 3, (0.3, 3.0)


def uniform(bounds: Range, n: int, g: Generator) -> Tensor:
    """Draw n numbers between two bounds."""
    low, high = bounds
    return low + (high - low) * torch.rand(n, generator=g)


def positions(structure: Structure, n: int, size: float, g: Generator) -> tuple[Tensor, Tensor]:
    """Draw y and x, (n,) each in pixels, on a structure within a square of side `size`.

    What is drawn may lie beyond the square. The disc has its own number of molecules and is not
    drawn here.
    """
    draw = {
        "filaments": _filaments,
        "tubes": _tubes,
        "clusters": _clusters,
        "nanorulers": _nanorulers,
    }
    if structure in draw:
        return draw[structure](n, size, g)
    y, x = size * torch.rand(2, n, generator=g)
    return y, x


def _filaments(n: int, size: float, g: Generator) -> tuple[Tensor, Tensor]:
    """Positions (n,) on one to five gently bent filaments that cross a field of this size."""
    count = int(torch.randint(1, 6, (1,), generator=g))
    which = torch.randint(count, (n,), generator=g)
    angle = 2 * math.pi * torch.rand(count, generator=g)[which]
    middle = size * torch.rand(2, count, generator=g)[:, which]
    bend = 0.01 * torch.randn(count, generator=g)[which]
    width = uniform((0.1, 1.0), count, g)[which]
    along = size * (torch.rand(n, generator=g) - 0.5) * 1.2
    across = bend * along**2 + width * torch.randn(n, generator=g)
    y = middle[0] + along * angle.sin() + across * angle.cos()
    x = middle[1] + along * angle.cos() - across * angle.sin()
    return y, x


def _clusters(n: int, size: float, g: Generator) -> tuple[Tensor, Tensor]:
    """Positions (n,) in Gaussian clusters of about eight emitters, radius 0.3 to 3 pixels."""
    count = max(1, round(n / 8))
    which = torch.randint(count, (n,), generator=g)
    middle = size * torch.rand(2, count, generator=g)[:, which]
    radius = torch.exp(uniform((math.log(0.3), math.log(3.0)), count, g))[which]
    y, x = middle + radius * torch.randn(2, n, generator=g)
    return y, x


def _tubes(n: int, size: float, g: Generator) -> tuple[Tensor, Tensor]:
    """Positions (n,) on one or two bundles of parallel tubes that are labelled on their surface."""
    count = int(torch.randint(1, 3, (1,), generator=g))
    which = torch.randint(count, (n,), generator=g)
    tubes = torch.randint(2, 5, (count,), generator=g)[which]
    angle = 2 * math.pi * torch.rand(count, generator=g)[which]
    middle = size * torch.rand(2, count, generator=g)[:, which]
    bend = 0.01 * torch.randn(count, generator=g)[which]
    spacing = uniform((0.5, 2.5), count, g)[which]
    radius = uniform((0.05, 0.25), count, g)[which]
    along = size * (torch.rand(n, generator=g) - 0.5) * 1.2
    tube = (torch.rand(n, generator=g) * tubes).floor() - (tubes - 1) / 2
    # The surface of a cylinder, seen from the side.
    wall = radius * torch.cos(2 * math.pi * torch.rand(n, generator=g))
    across = bend * along**2 + tube * spacing + wall
    y = middle[0] + along * angle.sin() + across * angle.cos()
    x = middle[1] + along * angle.cos() - across * angle.sin()
    return y, x


def _nanorulers(n: int, size: float, g: Generator) -> tuple[Tensor, Tensor]:
    """Positions (n,) on rulers anywhere: three marks in a row, all rulers of a frame alike."""
    rulers = -(-n // _MARKS)
    distance = uniform(_MARK_DISTANCE, 1, g)
    angle = 2 * math.pi * torch.rand(rulers, 1, generator=g)
    middle = size * torch.rand(2, rulers, 1, generator=g)
    mark = distance * (torch.arange(_MARKS) - (_MARKS - 1) / 2)
    y, x = middle[0] + mark * angle.sin(), middle[1] + mark * angle.cos()
    return y.flatten()[:n], x.flatten()[:n]
