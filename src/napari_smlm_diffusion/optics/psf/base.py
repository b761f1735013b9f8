"""What a point spread function can do, whatever its kind."""

from typing import Protocol, runtime_checkable

from torch import Tensor


class PSF(Protocol):
    """The light of one molecule, which sums to 1 over an endless plane of pixels.

    Of image size, camera and photons it knows nothing. Everything is differentiable by torch in
    the offsets and in whatever tensors the PSF is made of, and computed in their precision.

    Attributes
    ----------
    axes : tuple of str
        Of a position: ("y", "x") or ("y", "x", "z").
    radius_px : int
        Half side of a window that holds the light; its side is W = 2 radius + 1.
    z_range_nm : (low, high) or None
        Depths for which it is known.
    sigma_px : float
        SD of the Gaussian nearest to the spot in focus: for what needs a scale, not a shape.
    """

    @property
    def axes(self) -> tuple[str, ...]: ...  # noqa: D102 - see Attributes

    @property
    def radius_px(self) -> int: ...  # noqa: D102

    @property
    def z_range_nm(self) -> tuple[float, float] | None: ...  # noqa: D102

    @property
    def sigma_px(self) -> float: ...  # noqa: D102

    def image(self, offset: Tensor, radius_px: int | None = None) -> Tensor:
        """Return the share of the light in each pixel of a window, (..., W, W).

        Parameters
        ----------
        offset : (..., D) Tensor
            From the middle of the window's middle pixel, in px (z in nm); it may lie outside.
        radius_px : int, optional
            Half side of the window; the PSF's own if not given.
        """
        ...

    def image_and_derivatives(
        self, offset: Tensor, radius_px: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return `image` and its derivative by each coordinate, (..., D, W, W).

        In one call, because nearly all that they cost they have in common.
        """
        ...


@runtime_checkable
class Separable(Protocol):
    """A PSF in two dimensions that is a product of one profile along y and one along x.

    Whole frames of many molecules are then one matrix product, several times faster than windows.
    """

    def profiles(self, position: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the shares along y and along x, (..., Y) and (..., X).

        `position` (..., 2) is in pixels of a frame of (Y, X) `shape`, an integer a pixel's centre.
        """
        ...

    def slopes(self, position: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the derivative of each profile by its own coordinate."""
        ...
